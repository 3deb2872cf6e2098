"""Whether the databases hold what was promised. Everything raises BenchmarkError when they do not."""

import contextlib
import datetime as dt
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks import waiting
from benchmarks.amqp_load import Publisher
from benchmarks.errors import BenchmarkError
from benchmarks.parts import Ground
from benchmarks.telemetry import Position

QUEUES = ("bike_service.positions", "trip_service.positions")
LIMIT_S = 180.0


def scalar(connection: Any, query: str, *values: object) -> Any:
    """The one value that the query gives."""
    with connection.cursor() as cursor:
        cursor.execute(query, values)
        (value,) = cursor.fetchone()
    return value


def wait_stored(ground: Ground, positions: Sequence[Position]) -> None:
    """Until every position is in trip_service's database, and every bike stands at its newest in bike_service's.

    `positions` are all that were ever sent between the first one's time and the last one's.
    """
    newest = {position.bike_id: position for position in positions}
    first, last = positions[0].recorded_at, positions[-1].recorded_at
    with contextlib.closing(ground.trips()) as trips, contextlib.closing(ground.bikes()) as bikes:
        wait_empty(ground)
        waiting.wait_until(
            f"{len(positions)} positions stored by trip_service",
            lambda: scalar(trips, COUNT_POSITIONS, first, last) == len(positions),
            LIMIT_S,
        )
        waiting.wait_until(
            f"{len(newest)} bikes of bike_service at their newest positions",
            lambda: not _behind(bikes, newest),
            LIMIT_S,
        )


COUNT_POSITIONS = "SELECT count(*) FROM positions WHERE recorded_at BETWEEN %s AND %s"


def _behind(bikes: Any, newest: dict[str, Position]) -> list[str]:
    """Ids of the bikes that do not stand where their newest position says."""
    with bikes.cursor() as cursor:
        cursor.execute(
            "SELECT id::text, located_at, longitude, latitude FROM bikes WHERE id = ANY(%s::uuid[])", (list(newest),)
        )
        places = {bike_id: place for bike_id, *place in cursor}
    return [
        bike_id
        for bike_id, p in newest.items()
        if places.get(bike_id) != [dt.datetime.fromisoformat(p.recorded_at), p.longitude, p.latitude]
    ]


def wait_empty(ground: Ground) -> None:
    """Until no message of positions waits."""
    with Publisher(ground.amqp_uri) as broker:
        waiting.wait_until(
            "the queues of positions empty", lambda: not any(broker.depth(queue) for queue in QUEUES), LIMIT_S
        )


def check_no_dead_letters(ground: Ground) -> None:
    """Stock nameko has no queues for them."""
    if ground.name == "stock":
        return
    with Publisher(ground.amqp_uri) as broker:
        dead = sum(broker.depth(f"{queue}.dead") for queue in QUEUES)
    if dead:
        raise BenchmarkError(f"{dead} messages of positions are dead letters")


def wait_counted(ground: Ground, first: float, last: float, accepted: int, at_most: int) -> None:
    """Until at least `accepted` positions recorded between two Unix times are stored; never more than `at_most`.

    What was on its way when the load ended may be stored without having been answered.
    """
    between = (dt.datetime.fromtimestamp(first, dt.UTC), dt.datetime.fromtimestamp(last, dt.UTC))
    with contextlib.closing(ground.trips()) as trips, contextlib.closing(ground.bikes()) as bikes:
        wait_empty(ground)
        waiting.wait_until(
            f"{accepted} positions stored by trip_service",
            lambda: scalar(trips, COUNT_POSITIONS, *between) >= accepted,
            LIMIT_S,
        )
        waiting.wait_until("bikes at their newest positions", lambda: _is_reflected(bikes, trips, between), LIMIT_S)
        stored = scalar(trips, COUNT_POSITIONS, *between)
        if stored > at_most:
            raise BenchmarkError(f"{stored} positions are stored, and only {at_most} were sent")


NEWEST = "SELECT bike_id::text, max(recorded_at) FROM positions WHERE recorded_at BETWEEN %s AND %s GROUP BY bike_id"


def _is_reflected(bikes: Any, trips: Any, between: tuple[dt.datetime, dt.datetime]) -> bool:
    with trips.cursor() as cursor:
        cursor.execute(NEWEST, between)
        newest = dict(cursor.fetchall())
    with bikes.cursor() as cursor:
        cursor.execute("SELECT id::text, located_at FROM bikes WHERE id = ANY(%s::uuid[])", (list(newest),))
        return dict(cursor.fetchall()) == newest


def check_rides(ground: Ground, book: Path, connections: int) -> None:
    """Every 201 is a row, every 200 an ended one whose bike is not its any more, and nobody rides two bikes.

    `book`: the lines of `lua/rides.lua`. As many rides as connections may have been on their way at the end.
    """
    lines = [line.split() for line in book.read_text().splitlines()]
    started = {trip for what, trip in lines if what == "started"}
    ended = {trip for what, trip in lines if what == "ended"}
    if not started or ended - started:
        raise BenchmarkError(f"{len(started)} rides have started, {len(ended - started)} others have ended")
    with contextlib.closing(ground.trips()) as trips, contextlib.closing(ground.bikes()) as bikes:
        with trips.cursor() as cursor:
            cursor.execute("SELECT id::text, status FROM trips WHERE status <> 'void'")
            rows = dict(cursor.fetchall())
        lost = [trip for trip in started if trip not in rows]
        open_still = [trip for trip in ended if rows.get(trip) != "ended"]
        if lost or open_still:
            raise BenchmarkError(f"of {len(started)} rides {len(lost)} are no rows, {len(open_still)} are not ended")
        waiting.wait_until("the bikes of ended rides free", lambda: not _held(bikes, ended), 30)
        in_use = scalar(bikes, "SELECT count(*) FROM bikes WHERE status = 'in_use'")
        if in_use > connections:
            raise BenchmarkError(f"{in_use} bikes are in use, and at most {connections} rides run")


def _held(bikes: Any, trips: set[str]) -> int:
    with bikes.cursor() as cursor:
        cursor.execute("SELECT trip_id::text FROM bikes WHERE trip_id IS NOT NULL")
        return len({trip for (trip,) in cursor} & trips)


def wait_outbox_empty(ground: Ground) -> None:
    """Until every event of both services is published; stock nameko has no outbox to be empty."""
    with contextlib.closing(ground.trips()) as trips, contextlib.closing(ground.bikes()) as bikes:
        waiting.wait_until(
            "the outbox empty",
            lambda: not any(scalar(each, "SELECT count(*) FROM outbox") for each in (trips, bikes)),
            LIMIT_S,
        )
