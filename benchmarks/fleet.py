"""The bikes of a benchmark, made by SQL: their ids are known here as well."""

import hashlib
import random
import uuid
from typing import Any

# Northampton, Massachusetts; the side of a square over which 10,000 bikes are spread.
LATITUDE, LONGITUDE, SIDE = 42.32, -72.64, 0.2
PER_SQUARE = 10_000
TABLES_OF_BIKES = "bikes, outbox, inbox, idempotency_keys"
TABLES_OF_TRIPS = "trips, positions, outbox, idempotency_keys"
LARGE = 100_000


def bike_id(number: int) -> str:
    """The id of the bike of this number, from 0 on."""
    return str(uuid.UUID(hashlib.md5(f"bike-{number}".encode(), usedforsecurity=False).hexdigest()))


def bike_ids(count: int) -> list[str]:
    return [bike_id(number) for number in range(count)]


def side(count: int) -> float:
    """Degrees of a square over which so many bikes stand as densely as 10,000 in theirs."""
    return SIDE * float(max(count, PER_SQUARE) / PER_SQUARE) ** 0.5


def places(count: int, fleet: int, seed: int) -> list[tuple[float, float]]:
    """(latitude, longitude) of places among a fleet, its edge left out, the same for the same seed."""
    chance, reach = random.Random(seed), side(fleet) * 0.45
    return [
        (round(LATITUDE + chance.uniform(-reach, reach), 6), round(LONGITUDE + chance.uniform(-reach, reach), 6))
        for _ in range(count)
    ]


def empty(bikes: Any, trips: Any) -> None:
    """Remove all that a stack has stored."""
    for connection, tables in ((bikes, TABLES_OF_BIKES), (trips, TABLES_OF_TRIPS)):
        with connection.cursor() as cursor:
            cursor.execute(f"TRUNCATE {tables}")


def fill(bikes: Any, count: int) -> None:
    """Put `count` available bikes into an empty table, evenly spread, the same each time."""
    with bikes.cursor() as cursor:
        indexes = _take_indexes(cursor) if count >= LARGE else []
        cursor.execute("SELECT setseed(0.5)")
        cursor.execute(
            """
            INSERT INTO bikes (id, latitude, longitude, located_at, battery_percent, battery_at)
            SELECT md5('bike-' || number)::uuid, round((%(lat)s + %(side)s * (random() - 0.5))::numeric, 6),
                round((%(lon)s + %(side)s * (random() - 0.5))::numeric, 6), now() - interval '1 day', 71.5,
                now() - interval '1 day'
            FROM generate_series(0, %(last)s) AS number
            """,
            {"lat": LATITUDE, "lon": LONGITUDE, "side": side(count), "last": count - 1},
        )
        for index in indexes:
            cursor.execute(index)
        cursor.execute("VACUUM ANALYZE bikes")


def _take_indexes(cursor: Any) -> list[str]:
    """Drop the indexes that are no constraint's, since building them once is faster; their definitions."""
    cursor.execute("""
        SELECT indexname, indexdef FROM pg_indexes WHERE tablename = 'bikes'
        AND indexname NOT IN (SELECT conname FROM pg_constraint WHERE conrelid = 'bikes'::regclass)
    """)
    found = cursor.fetchall()
    for name, _ in found:
        cursor.execute(f'DROP INDEX "{name}"')
    return [definition for _, definition in found]
