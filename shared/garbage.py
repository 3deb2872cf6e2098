"""Python's cyclic garbage collector, set for a process that serves.

What was imported and built at the start stays, and need not be looked through over and over; what a request makes is
mostly freed by its reference counts, so the young generation may grow before anybody looks at it. With Python's own
settings a collection comes every few requests, and walks through all modules every few seconds.

Measured: docs/performance.md. Memory stays flat (the workload `memory`): every object that is not frozen is still
collected.
"""

import gc

YOUNG_OBJECTS = 10_000
# Of younger collections, before the next older generation is looked at.
MIDDLE, OLD = 10, 10


def settle() -> None:
    """Collect once, keep what there is out of later collections, and make these rarer; called when all is built."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(YOUNG_OBJECTS, MIDDLE, OLD)
