"""HTTP as Prometheus sees it."""

from shared.metrics import TimedCounter, gauge

# The route of what was asked for at no address, and the method that no route has.
UNMATCHED, OTHER = "unmatched", "other"

REQUESTS = TimedCounter(
    "http_requests", "http_request", "HTTP requests by method, route template and status", ["method", "route", "status"]
)
IN_PROGRESS = gauge("http_requests_in_progress", "HTTP requests that are not answered yet.")
