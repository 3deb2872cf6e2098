"""Positions in PostgreSQL: one partition a day (UTC), so that their cost does not grow with their age."""

import logging
from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta

from sqlalchemy import text
from sqlalchemy.orm import Session

from shared.arrays import array, numbers
from shared.compiled_positions import Position
from shared.metrics import count_on_commit
from trip_service.metrics import POSITIONS_REPEATED, POSITIONS_STORED

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
    stored = session.execute(
        STORE,
        {
            "ids": array([p.bike_id for p in rows]),
            "times": array([p.recorded_at.isoformat() for p in rows]),
            "lons": numbers([p.longitude for p in rows]),
            "lats": numbers([p.latitude for p in rows]),
            "batteries": numbers([p.battery_percent for p in rows]),
            "speeds": numbers([p.speed_mps for p in rows]),
            "accuracies": numbers([p.accuracy_m for p in rows]),
        },
    ).rowcount  # type: ignore[attr-defined]
    count_on_commit(session, POSITIONS_STORED, stored)
    count_on_commit(session, POSITIONS_REPEATED, len(positions) - stored)


def partition_name(day: date) -> str:
    """The partition of one UTC day."""
    return f"positions_p{day:%Y%m%d}"


def missing_days(session: Session, now: datetime) -> list[date]:
    """The UTC days, of those that positions are taken for, that have no partition yet."""
    existing, today = set(session.scalars(PARTITIONS)), now.astimezone(UTC).date()
    days = [today + timedelta(days=offset) for offset in range(-DAYS_BACK, DAYS_AHEAD + 1)]
    return [day for day in days if partition_name(day) not in existing]


def make_partition(session: Session, day: date) -> None:
    """One day's partition, unless it is there; what came for the day before is moved over from the default one."""
    name, since, until = partition_name(day), start_of(day), start_of(day + timedelta(days=1))
    # Attaching locks the default partition, which a backup holds: rather later than everybody waiting behind it.
    session.execute(text("SET LOCAL lock_timeout = '2s'"))
    session.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": ADVISORY_LOCK})
    if name in set(session.scalars(PARTITIONS)):
        return  # made by another instance meanwhile
    session.execute(text(f"CREATE TABLE {name} (LIKE positions INCLUDING ALL)"))
    # Nothing may be added for this day between its move and its attachment.
    session.execute(text("LOCK TABLE positions_default IN SHARE ROW EXCLUSIVE MODE"))
    move = f"""
        WITH moved AS (
            DELETE FROM positions_default WHERE recorded_at >= :since AND recorded_at < :until RETURNING *
        )
        INSERT INTO {name} SELECT * FROM moved
    """  # noqa: S608 - the name is made from a date
    session.execute(text(move), {"since": since, "until": until})
    # Unlike CREATE ... PARTITION OF, attaching leaves the readers and writers of the parent table alone.
    session.execute(text(f"ALTER TABLE positions ATTACH PARTITION {name} FOR VALUES FROM ('{since}') TO ('{until}')"))


def outdated_partitions(session: Session, since: datetime) -> list[str]:
    """The partitions whose day ended before the day of `since`; names of one length sort as their days do."""
    oldest = partition_name(since.astimezone(UTC).date())
    return sorted(name for name in session.scalars(PARTITIONS) if name < oldest)


def drop_partition(session: Session, name: str) -> None:
    """Drop one day. It locks the parent table: rather not now than keep everybody waiting behind a long reader."""
    session.execute(text("SET LOCAL lock_timeout = '2s'"))
    session.execute(text(f"DROP TABLE IF EXISTS {name}"))
    log.info("positions of a day are dropped", extra={"partition": name})


def delete_strays(session: Session, since: datetime) -> None:
    """Delete what came too late for a partition, and is older than the day of `since`: few rows, if any."""
    oldest = start_of(since.astimezone(UTC).date())
    session.execute(text("DELETE FROM positions_default WHERE recorded_at < :since"), {"since": oldest})


def start_of(day: date) -> datetime:
    """Midnight, UTC."""
    return datetime.combine(day, datetime.min.time(), UTC)
