"""The bikes that anybody may know of, as rows for the GBFS feed: the only place that gives out public ids."""

from collections.abc import Iterable, Sequence
from typing import Any

from sqlalchemy import text
from sqlalchemy.orm import Session

from shared.arrays import array
from shared.vehicle_types import default_type

MAX_ROWS = 20_000
FeedRow = Sequence[Any]
"""Of a bike: what COLUMNS names; times in seconds since 1970, null with the place where it was never heard of."""

COLUMNS = (
    "id::text, revision, status, vehicle_id::text, coalesce(vehicle_type_id, :default_type), longitude, latitude,"
    " extract(epoch FROM located_at)::float8, battery_percent, extract(epoch FROM battery_at)::float8"
)
# One that was never heard of is among them: its first position makes no event.
PUBLIC = "status IN ('available', 'reserved', 'out_of_service')"
PAGE = text(f"""
    SELECT {COLUMNS} FROM bikes
    WHERE id > CAST(:after AS uuid) AND {PUBLIC} ORDER BY id LIMIT :limit
""")  # noqa: S608 - put together from constants
BY_IDS = text(f"SELECT {COLUMNS} FROM bikes WHERE id = ANY (CAST(:ids AS uuid[])) AND {PUBLIC}")  # noqa: S608 - likewise
# No bike has it: ids are random.
FIRST = "00000000-0000-0000-0000-000000000000"


def page(session: Session, after: str | None, limit: int) -> list[FeedRow]:
    """Up to `limit` of them by id, after the id `after`."""
    values = {"default_type": default_type(), "after": after or FIRST, "limit": limit}
    return [tuple(row) for row in session.execute(PAGE, values)]


def by_ids(session: Session, ids: Iterable[str]) -> list[FeedRow]:
    """Those of these bikes that anybody may know of."""
    return [tuple(row) for row in session.execute(BY_IDS, {"default_type": default_type(), "ids": array(ids)})]
