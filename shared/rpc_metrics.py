"""Remote calls as Prometheus sees them, from both ends.

Outcomes: `ok`, a class of `shared.errors`, `defect` (any other error); at the serving end also `expired` (its
caller had given up before it was begun) and `refused` (no such method, or not with these arguments).
"""

from shared.metrics import TimedCounter

EXPIRED, REFUSED = "expired", "refused"
UNKNOWN = "unknown"

SERVED = TimedCounter(
    "rpc_requests", "rpc_request", "RPC requests served, by service.method and outcome", ["method", "outcome"]
)
MADE = TimedCounter(
    "rpc_calls", "rpc_call", "RPC calls made, by target service, method and outcome", ["target", "method", "outcome"]
)
