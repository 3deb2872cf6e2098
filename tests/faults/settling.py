"""Waiting until a stack that is left alone has come to rest, and saying what has not."""

import time
from collections.abc import Callable

import eventlet
from kombu import Connection

from tests.faults.listener import QUEUE as LISTENER
from tests.faults.stack import Stack

# Bike and trip agree within 30 s, and everything else sooner.
LIMIT_S = 30.0


def settle(stack: Stack, *more: Callable[[], list[str]], limit_s: float = LIMIT_S) -> tuple[list[str], float]:
    """What is still not at rest after `limit_s` seconds, and the seconds that it took."""
    since = time.monotonic()
    while True:
        problems = [problem for check in (lambda: unrest(stack), *more) for problem in check()]
        took = time.monotonic() - since
        if not problems or took > limit_s:
            return problems, took
        eventlet.sleep(0.2)


def unrest(stack: Stack) -> list[str]:
    return [*_outboxes(stack), *_disagreements(stack), *_queues(stack)]


def _outboxes(stack: Stack) -> list[str]:
    left = {name: stack.query(name, "SELECT count(*) FROM outbox")[0][0] for name in stack.database_urls}
    return [f"{count} events are still in the outbox of {name}" for name, count in left.items() if count]


def _disagreements(stack: Stack) -> list[str]:
    bikes = stack.query("bike_service", "SELECT id::text, trip_id::text FROM bikes WHERE status = 'in_use'")
    trips = stack.query("trip_service", "SELECT bike_id::text, id::text FROM trips WHERE status = 'active'")
    return [
        *(f"bike {bike} is in use by {trip}, which is not active" for bike, trip in set(bikes) - set(trips)),
        *(f"trip {trip} is active without its bike {bike}" for bike, trip in set(trips) - set(bikes)),
    ]


def _queues(stack: Stack) -> list[str]:
    """Every queue is drained, and nothing has been put aside."""
    problems = []
    names = stack.servers.broker.queues(stack.vhost)
    with Connection(stack.amqp_uri) as connection:
        for name in names:
            # What a gateway listens with is its connection's own.
            if name == LISTENER or ".reply-" in name or name.startswith(("rpc", "listener-")):
                continue
            with connection.channel() as channel:
                count = channel.queue_declare(name, passive=True).message_count
            if count:
                problems.append(f"{count} messages are in {name}")
    return problems
