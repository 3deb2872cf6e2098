"""Positions in PostgreSQL: one partition a day (UTC), so that their cost does not grow with their age."""

import logging
from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta

from sqlalchemy import text
from sqlalchemy.orm import Session

from shared.position_messages import Position

log = logging.getLogger(__name__)

# Positions may be 30 days late, and a day old when a day ends.
DAYS_BACK, DAYS_AHEAD = 31, 7
# Any number, the same everywhere: it names the lock that one partition keeper holds.
ADVISORY_LOCK = 7_245_802

STORE = text("""
    INSERT INTO positions (bike_id, recorded_at, longitude, latitude, battery_percent, speed_mps, accuracy_m)
    SELECT * FROM unnest(
        CAST(:ids AS uuid[]), CAST(:times AS timestamptz[]), CAST(:lons AS float8[]), CAST(:lats AS float8[]),
        CAST(:batteries AS float8[]), CAST(:speeds AS float8[]), CAST(:accuracies AS float8[])
    )
    ON CONFLICT DO NOTHING
""")
PARTITIONS = text("""
    SELECT child.relname FROM pg_inherits
    JOIN pg_class child ON child.oid = inhrelid
    WHERE inhparent = 'positions'::regclass AND child.relname LIKE 'positions\\_p%'
""")


def store(session: Session, positions: Sequence[Position]) -> None:
    """Store each position once, by bike and time; of those with the same the first is kept."""
    unique: dict[tuple[str, datetime], Position] = {}
    for position in positions:
        unique.setdefault((position.bike_id, position.recorded_at), position)
    # In one order, so that two consumers with the same positions cannot wait for each other.
    rows = [unique[key] for key in sorted(unique)]
    if not rows:
        return
    session.execute(
        STORE,
        {
            "ids": [p.bike_id for p in rows],
            "times": [p.recorded_at for p in rows],
            "lons": [p.longitude for p in rows],
            "lats": [p.latitude for p in rows],
            "batteries": [p.battery_percent for p in rows],
            "speeds": [p.speed_mps for p in rows],
            "accuracies": [p.accuracy_m for p in rows],
        },
    )


def partition_name(day: date) -> str:
    """The partition of one UTC day."""
    return f"positions_p{day:%Y%m%d}"


def keep_partitions(session: Session, now: datetime, retention: timedelta | None) -> None:
    """Make the partitions that will be needed, drop those older than `retention`; one process at a time."""
    session.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": ADVISORY_LOCK})
    existing = set(session.scalars(PARTITIONS))
    today = now.astimezone(UTC).date()
    for offset in range(-DAYS_BACK, DAYS_AHEAD + 1):
        day = today + timedelta(days=offset)
        if partition_name(day) not in existing:
            _make(session, day)
    if retention is not None:
        oldest = (now - retention).astimezone(UTC).date()
        for name in sorted(existing):
            # Names of one length sort as their days do.
            if name < partition_name(oldest):
                log.info("positions of a day are dropped", extra={"partition": name})
                session.execute(text(f"DROP TABLE {name}"))
        # What came too late for a partition: few rows, if any.
        session.execute(text("DELETE FROM positions_default WHERE recorded_at < :since"), {"since": _start_of(oldest)})


def _make(session: Session, day: date) -> None:
    """One day's partition; what came for that day before is moved over from the default partition."""
    name, until = partition_name(day), day + timedelta(days=1)
    bounds = {"since": _start_of(day), "until": _start_of(until)}
    # Attaching, unlike CREATE ... PARTITION OF, does not lock out those who read and write the other days.
    session.execute(text(f"CREATE TABLE {name} (LIKE positions INCLUDING ALL)"))
    move = f"""
        WITH moved AS (
            DELETE FROM positions_default WHERE recorded_at >= :since AND recorded_at < :until RETURNING *
        )
        INSERT INTO {name} SELECT * FROM moved
    """  # noqa: S608 - the name is made from a date
    session.execute(text(move), bounds)
    values = f"FROM ('{bounds['since']}') TO ('{bounds['until']}')"
    session.execute(text(f"ALTER TABLE positions ATTACH PARTITION {name} FOR VALUES {values}"))


def _start_of(day: date) -> datetime:
    return datetime.combine(day, datetime.min.time(), UTC)
