"""How many connections each process of a service takes from its database, told once for all who must know.

`pool_size` connections are kept open, `max_overflow` more are made under load.
"""

# The work of requests, messages and timers.
REQUESTS = {"pool_size": 20, "max_overflow": 10}
# The outbox's relay has one transaction at a time.
OUTBOX = {"pool_size": 1, "max_overflow": 2}
# One for each who may ask beside the pools at the same moment: the outbox's figures, a census, a health check.
SIDE = {"pool_size": 1, "max_overflow": 2}

CONNECTIONS_PER_PROCESS = sum(sum(pool.values()) for pool in (REQUESTS, OUTBOX, SIDE))
# For migrations, backups and whoever looks, and those that PostgreSQL keeps for its superusers.
SPARE_CONNECTIONS = 20


def max_connections(processes: int) -> int:
    """PostgreSQL's setting, where so many processes use it."""
    return CONNECTIONS_PER_PROCESS * processes + SPARE_CONNECTIONS
