"""The fleet in PostgreSQL. Everything works in the caller's transaction."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, Text, and_, cast, func, or_, select, text, true, update
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from bike_service.domain import Status, Viewer
from bike_service.metrics import BIKE_MOVES, POSITIONS_APPLIED
from bike_service.models import Bike, Outbox
from bike_service.schemas import event_data
from shared import outbox
from shared.arrays import array, numbers, unnested
from shared.compiled_positions import Position
from shared.errors import Conflict
from shared.metrics import count_on_commit
from shared.origins import Origin
from shared.vehicle_types import default_type

LOCK = text("""
    SELECT id::text, located_at, battery_at FROM bikes WHERE id = ANY(CAST(:ids AS uuid[]))
    ORDER BY id FOR NO KEY UPDATE
""")
# One update for both: most of its cost are a new version of the row and its entries in the indexes.
REFRESH = text("""
    UPDATE bikes SET
        longitude = coalesce(new.longitude, bikes.longitude), latitude = coalesce(new.latitude, bikes.latitude),
        located_at = coalesce(new.located_at, bikes.located_at),
        battery_percent = coalesce(new.percent, bikes.battery_percent),
        battery_at = coalesce(new.battery_at, bikes.battery_at)
    FROM unnest(
        CAST(:ids AS uuid[]), CAST(:located AS timestamptz[]), CAST(:lons AS float8[]), CAST(:lats AS float8[]),
        CAST(:charged AS timestamptz[]), CAST(:percents AS float8[])
    ) AS new (id, located_at, longitude, latitude, battery_at, percent)
    WHERE bikes.id = new.id
""")


def count_by_status(session: Session) -> dict[str, int]:
    """How many bikes there are of each status."""
    rows = session.execute(select(Bike.status, func.count()).group_by(Bike.status)).all()
    return {**dict.fromkeys(map(str, Status), 0), **{status: number for status, number in rows}}  # noqa: C416


class Bikes:
    """The bikes, as one transaction sees them."""

    def __init__(self, session: Session) -> None:
        self.session = session

    def get(self, bike_id: str, *, for_update: bool = False) -> Bike | None:
        """The bike; `for_update` locks it until the transaction ends."""
        query = select(Bike).where(Bike.id == bike_id).execution_options(populate_existing=True)
        return self.session.scalars(query.with_for_update() if for_update else query).one_or_none()

    def add_many(self, bikes: Sequence[dict[str, Any]]) -> list[Bike]:
        """Add bikes (`id` and what is known of name, location, battery_percent, vehicle_type_id): all or none.

        A bike that is there already under its id stays as it is: the call is a repetition. Raises Conflict with
        `errors` (`bikes.<index>.name`) when a name is taken.
        """
        now = datetime.now(UTC)
        rows = [_row(bike, now) for bike in bikes]
        try:
            with self.session.begin_nested():
                statement = upsert(Bike).values(rows).on_conflict_do_nothing(index_elements=["id"])
                added = set(self.session.scalars(statement.returning(Bike.id)))
        except IntegrityError as error:
            if error.orig is None or error.orig.diag.constraint_name != "bikes_name_key":  # type: ignore[attr-defined]
                raise
            raise self._names_taken(bikes) from None
        found = self.by_ids(row["id"] for row in rows)
        self._record("bike_added", [found[bike_id] for bike_id in added], now)
        return [found[row["id"]] for row in rows]

    def _names_taken(self, bikes: Sequence[dict[str, Any]]) -> Conflict:
        names = [bike["name"] for bike in bikes if bike.get("name") is not None]
        seen = set(self.session.scalars(select(Bike.name).where(Bike.name.in_(names))))
        errors: dict[str, list[str]] = {}
        for index, bike in enumerate(bikes):
            name = bike.get("name")
            if name is not None and name in seen:
                errors[f"bikes.{index}.name"] = ["There is a bike of this name."]
            seen.add(name)
        return Conflict("A bike's name is unique, and this one is taken.", {"errors": errors})

    def find(
        self, status: str | None, bbox: Sequence[float] | None, after: str | None, limit: int, viewer: Viewer
    ) -> Sequence[Bike]:
        """Up to `limit` bikes by id, after the id `after`; retired ones only if `status` asks for them."""
        query = select(Bike).order_by(Bike.id).limit(limit)
        query = query.where(Bike.status == status if status else Bike.status != Status.RETIRED)
        if after is not None:
            query = query.where(Bike.id > after)
        if bbox is not None:
            query = query.where(or_(*(_within(*box) for box in _split(*bbox))), _placed_for(viewer))
        return self.session.scalars(query).all()

    def change(self, bike: Bike, changes: dict[str, str], event_type: str = "bike_changed") -> Bike:
        """Apply `changes` to a bike locked by `get`, with its event; raises Conflict when its new name is taken."""
        try:
            with self.session.begin_nested():
                [changed] = self._update(event_type, Bike.id == bike.id, None, **changes)
        except IntegrityError as error:
            if error.orig is None or error.orig.diag.constraint_name != "bikes_name_key":  # type: ignore[attr-defined]
                raise
            raise Conflict(
                "A bike's name is unique, and this one is taken.",
                {"errors": {"name": ["There is a bike of this name."]}},
            ) from None
        return changed

    def check_out(self, wanted: Sequence[Mapping[str, Any]]) -> dict[str, Bike]:
        """Give each available bike to the first of `wanted` (`bike_id`, `trip_id`, `rider_id`, `origin`) that names it.

        The only judge of who gets a bike. Returns those given, by id. Raises Conflict, and spoils the transaction,
        when a trip has another bike.
        """
        self._lock(each["bike_id"] for each in wanted)
        takers = {each["bike_id"]: each for each in reversed(wanted)}
        new = unnested(
            "new",
            bike_id=(Bike.id.type, takers),
            trip_id=(Bike.trip_id.type, (each["trip_id"] for each in takers.values())),
            rider_id=(Text(), (each["rider_id"] for each in takers.values())),
        )
        available = and_(Bike.id == new.c.bike_id, Bike.status == Status.AVAILABLE)
        taker = {"trip_id": new.c.trip_id, "rider_id": new.c.rider_id, "checked_out_at": func.now()}
        origins = {bike_id: each["origin"] for bike_id, each in takers.items()}
        try:
            taken = self._update("bike_changed", available, origins, status=Status.IN_USE, **taker)
        except IntegrityError:
            raise Conflict("The trip has another bike.") from None
        return {bike.id: bike for bike in taken}

    def check_in(self, given_back: Sequence[Mapping[str, Any]]) -> list[bool | None]:
        """Free each bike that is checked out for just the trip that `given_back` (`bike_id`, `trip_id`) names with it.

        Returns of each whether it has freed its bike; None where there is no such bike.
        """
        trips, freed = self._lock(each["bike_id"] for each in given_back), dict[str, Origin | None]()
        released: list[bool | None] = []
        for each in given_back:
            bike_id = each["bike_id"]
            is_mine = trips[bike_id] == each["trip_id"] and bike_id not in freed if bike_id in trips else None
            released.append(is_mine)
            if is_mine:
                freed[bike_id] = each.get("origin")
        if freed:
            # A trip's end takes the public id along, so that nobody can follow the bike by it.
            ended: dict[str, Any] = dict.fromkeys(("trip_id", "rider_id", "checked_out_at"))
            ended["vehicle_id"] = func.gen_random_uuid()
            self._update("bike_changed", Bike.id.in_(freed), freed, status=Status.AVAILABLE, **ended)
        return released

    def check_outs(self, older_than_s: float, after: str | None, limit: int) -> list[tuple[Bike, float]]:
        """Up to `limit` check-outs by bike id, after the id `after`, each with its age in seconds."""
        age = func.extract("epoch", func.now() - Bike.checked_out_at)
        query = select(Bike, age).where(Bike.status == Status.IN_USE)
        query = query.where(Bike.checked_out_at <= func.now() - timedelta(seconds=older_than_s))
        if after is not None:
            query = query.where(Bike.id > after)
        return [(bike, float(seconds)) for bike, seconds in self.session.execute(query.order_by(Bike.id).limit(limit))]

    def move(self, positions: Sequence[Position]) -> tuple[list[Position], set[str]]:
        """Let each bike stand at its newest position; returns those that moved one, or its charge, and unknown ids.

        The newest `recorded_at` decides, of equal ones the first; a late one never moves a bike backwards.
        """
        wanted = {position.bike_id for position in positions}
        # Locked in one order, so that two consumers cannot wait for each other.
        locked = self.session.execute(LOCK, {"ids": array(wanted)}).all()
        located = {row.id: row.located_at for row in locked}
        charged = {row.id: row.battery_at for row in locked}
        places = _newer(positions, located)
        charges = _newer((p for p in positions if p.battery_percent is not None), charged)
        if places or charges:
            pairs = {bike_id: (places.get(bike_id), charges.get(bike_id)) for bike_id in {**places, **charges}}
            self.session.execute(
                REFRESH,
                {
                    "ids": array(pairs),
                    "located": array(
                        None if place is None else place.recorded_at.isoformat() for place, _ in pairs.values()
                    ),
                    "lons": numbers(None if place is None else place.longitude for place, _ in pairs.values()),
                    "lats": numbers(None if place is None else place.latitude for place, _ in pairs.values()),
                    "charged": array(
                        None if charge is None else charge.recorded_at.isoformat() for _, charge in pairs.values()
                    ),
                    "percents": numbers(
                        None if charge is None else charge.battery_percent for _, charge in pairs.values()
                    ),
                },
            )
            count_on_commit(self.session, BIKE_MOVES, len(places))
        count_on_commit(self.session, POSITIONS_APPLIED, sum(p.bike_id in located for p in positions))
        # One that says a charge may be older than the one that says the place.
        older = [charge for bike_id, charge in charges.items() if places.get(bike_id) is not charge]
        return [*older, *places.values()], wanted - located.keys()

    def by_ids(self, ids: Iterable[str]) -> dict[str, Bike]:
        """Those of the bikes that there are, by id."""
        query = select(Bike).where(Bike.id.in_(list(ids))).execution_options(populate_existing=True)
        return {bike.id: bike for bike in self.session.scalars(query)}

    def _lock(self, ids: Iterable[str]) -> dict[str, str | None]:
        """Lock those of the bikes that there are; returns the trip that each is checked out for, by the bike's id."""
        # In one order, so that two batches cannot wait for each other.
        query = select(Bike.id, Bike.trip_id).where(Bike.id.in_(set(ids))).order_by(Bike.id).with_for_update()
        return {bike_id: trip_id for bike_id, trip_id in self.session.execute(query)}  # noqa: C416

    def _update(
        self,
        event_type: str,
        condition: ColumnElement[bool],
        origins: Mapping[str, Origin | None] | None = None,
        **values: Any,
    ) -> list[Bike]:
        """Change the bikes that meet `condition`, with an event of each; `origins`: whose these are, by bike id."""
        values |= {"revision": Bike.revision + 1, "updated_at": func.now()}
        statement = update(Bike).where(condition).values(values).returning(Bike)
        options = {"populate_existing": True, "synchronize_session": False}
        bikes = list(self.session.scalars(statement.execution_options(**options)))
        if bikes:
            self._record(event_type, bikes, bikes[0].updated_at, origins)
        return bikes

    def _record(
        self,
        event_type: str,
        bikes: Iterable[Bike],
        occurred_at: datetime,
        origins: Mapping[str, Origin | None] | None = None,
    ) -> None:
        changed = list(bikes)
        whose = [(origins or {}).get(bike.id) for bike in changed]
        outbox.record(self.session, Outbox, event_type, [event_data(bike) for bike in changed], occurred_at, whose)


def _row(bike: dict[str, Any], now: datetime) -> dict[str, Any]:
    longitude, latitude = bike.get("location") or (None, None)
    battery = bike.get("battery_percent")
    return {
        "id": bike["id"],
        "name": bike.get("name"),
        "longitude": longitude,
        "latitude": latitude,
        "located_at": None if longitude is None else now,
        "battery_percent": battery,
        "battery_at": None if battery is None else now,
        "vehicle_type_id": bike.get("vehicle_type_id") or default_type(),
        "created_at": now,
        "updated_at": now,
    }


def _newer(positions: Iterable[Position], known: Mapping[str, datetime | None]) -> dict[str, Position]:
    """Of each bike of `known` the position with the newest time, of equal ones the first, if newer than the known."""
    newest: dict[str, Position] = {}
    for position in positions:
        bike_id = position.bike_id
        kept = newest.get(bike_id)
        if kept is not None:
            if position.recorded_at > kept.recorded_at:
                newest[bike_id] = position
        elif bike_id in known:
            since = known[bike_id]
            if since is None or position.recorded_at > since:
                newest[bike_id] = position
    return newest


def _split(min_lon: float, min_lat: float, max_lon: float, max_lat: float) -> list[tuple[float, float, float, float]]:
    """The box itself, or its two halves when it crosses the 180th meridian."""
    if min_lon <= max_lon:
        return [(min_lon, min_lat, max_lon, max_lat)]
    return [(min_lon, min_lat, 180.0, max_lat), (-180.0, min_lat, max_lon, max_lat)]


def _within(min_lon: float, min_lat: float, max_lon: float, max_lat: float) -> ColumnElement[bool]:
    box = func.box(func.point(min_lon, min_lat), func.point(max_lon, max_lat))
    # PostgreSQL's geometric operators allow for a tolerance, so the index only finds candidates.
    return and_(
        func.point(Bike.longitude, Bike.latitude).op("<@")(box),
        Bike.longitude.between(min_lon, max_lon),
        Bike.latitude.between(min_lat, max_lat),
    )


def _placed_for(viewer: Viewer) -> ColumnElement[bool]:
    """Bikes whose place `viewer` may see: `Viewer.sees_location` in SQL."""
    if viewer.sees_all:
        return true()
    # As text, for a vehicle's subject need not be a UUID.
    mine = {"rider": Bike.rider_id, "vehicle": cast(Bike.id, Text)}.get(viewer.role or "")
    if mine is None or viewer.sub is None:
        return Bike.status != Status.IN_USE
    return or_(Bike.status != Status.IN_USE, mine == viewer.sub)
