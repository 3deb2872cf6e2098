"""The view of the fleet: the newest of what was told counts, in whatever order it was told."""

import random
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from gateway_service.fleet_view import NEVER, FleetView, Spot, newer

Row = list[Any]


def row(bike_id: str = "a", revision: int = 1, at: float | None = 100.0, **other: Any) -> Row:
    values = {"status": "available", "vehicle_id": f"v-{bike_id}-{revision}", "type": "bike", "lon": 8.0, "lat": 47.0}
    values |= {"charge": None, "charged_at": None, **other}
    place = (None, None) if at is None else (values["lon"], values["lat"])
    return [
        bike_id, revision, values["status"], values["vehicle_id"], values["type"], *place, at, values["charge"],
        values["charged_at"],
    ]  # fmt: skip


def position(bike_id: str = "a", at: int = 200, lon: float = 9.0, **more: Any) -> Any:
    moment = f"1970-01-01T00:{at // 60:02}:{at % 60:02}Z"
    return {"bike_id": bike_id, "recorded_at": moment, "location": {"coordinates": [lon, 48.0]}, **more}


def shown(view: FleetView) -> dict[str, Spot]:
    return {bike.vehicle_id: bike.spot for bike in view.in_order()}


def only(view: FleetView) -> Spot:
    [spot] = shown(view).values()
    return spot


def test_a_newer_position_moves_a_bike_and_an_older_one_does_not():
    view = FleetView()
    view.merge([row(charge=50.0, charged_at=100.0)])
    view.hear_positions([position(at=200, lon=9.0), position(at=150, lon=10.0, battery_percent=40)])
    assert only(view) == Spot(200, 9.0, 48.0, 40, 150)
    view.hear_positions([position(at=200, lon=11.0), position(at=120, battery_percent=1)])
    assert only(view) == Spot(200, 9.0, 48.0, 40, 150)


def test_what_changes_nothing_is_no_new_version():
    view = FleetView()
    view.merge([row()])
    version = view.version
    view.merge([row()])
    view.hear_positions([position(at=50), position("stranger")])
    view.forget(["stranger"])
    assert view.version == version
    view.hear_positions([position(at=150)])
    assert view.version > version


def test_a_position_is_kept_for_a_bike_that_is_not_there_yet():
    view = FleetView()
    view.hear_positions([position(at=300)])
    view.merge([row()])
    assert only(view).at == 300
    view.forget(["a"])
    view.age_heard()
    view.merge([row(revision=2)])
    assert only(view).at == 300
    view.forget(["a"])
    view.age_heard()
    view.merge([row(revision=3)])
    assert only(view).at == 100


def test_a_bike_that_nobody_may_see_goes_at_once_and_an_old_row_does_not_bring_it_back():
    view = FleetView()
    view.merge([row(revision=1)])
    assert view.hear_of_change("a", 2, "in_use") is False
    assert shown(view) == {}
    view.merge([row(revision=1)])
    assert shown(view) == {}
    assert view.hear_of_change("a", 3, "available") is True
    view.merge([row(revision=3)])
    assert list(shown(view)) == ["v-a-3"]


def test_an_event_that_comes_late_is_no_change():
    view = FleetView()
    view.merge([row(revision=5)])
    assert view.hear_of_change("a", 4, "in_use") is False
    assert view.hear_of_change("a", 5, "available") is False
    assert list(shown(view)) == ["v-a-5"]


def test_a_load_ends_what_it_does_not_have():
    view = FleetView()
    view.merge([row("a"), row("b")])
    view.keep_only(view.merge([row("b"), row("c")]))
    assert sorted(shown(view)) == ["v-b-1", "v-c-1"]
    assert len(view) == 2


def test_bikes_stand_in_the_order_of_their_public_ids_however_they_came():
    view, chance = FleetView(), random.Random(1)
    for step in range(300):
        bike_id = str(chance.randrange(20))
        if chance.random() < 0.3:
            view.forget([bike_id])
        else:
            view.merge([row(bike_id, step + 1, vehicle_id=str(chance.random()))])
        if chance.random() < 0.4:
            ids = [bike.vehicle_id for bike in view.in_order()]
            assert ids == sorted(ids)
            assert len(ids) == len(view)


def test_a_text_is_made_once_and_anew_after_a_change():
    view, made = FleetView(), list[str]()

    def encode(bike: Any) -> bytes:
        made.append(bike.vehicle_id)
        return b"x"

    view.merge([row("a"), row("b")])
    for _ in range(2):
        assert [bike.encoded(encode) for bike in view.in_order()] == [b"x"] * 2
    view.hear_positions([position("b")])
    assert [bike.encoded(encode) for bike in view.in_order()] == [b"x"] * 2
    assert made == ["v-a-1", "v-b-1", "v-b-1"]


def test_a_bike_never_heard_of_waits_for_its_first_position():
    view = FleetView()
    view.merge([row(at=None)])
    assert only(view).at == NEVER
    view.hear_positions([position(at=60)])
    assert only(view) == Spot(60, 9.0, 48.0, None, NEVER)


spots = st.builds(
    Spot, st.integers(0, 4).map(float), st.just(1.0), st.just(2.0), st.integers(0, 9), st.integers(0, 4).map(float)
)


@given(st.lists(spots, min_size=2, max_size=5), st.randoms())
def test_the_order_in_which_places_are_told_does_not_matter(told: list[Spot], chance: random.Random) -> None:
    def end(order: list[Spot]) -> tuple[float, float]:
        known = order[0]
        for other in order[1:]:
            known = newer(known, other)
        return known.at, known.charged_at

    assert (
        end(told) == end(chance.sample(told, len(told))) == (max(s.at for s in told), max(s.charged_at for s in told))
    )


def test_in_a_gap_nobody_sees_a_bike_move_until_it_is_fetched_again() -> None:
    view = FleetView()
    view.merge([row(at=100)])
    version, place = view.version, view.in_order()[0].spot
    view.hear_positions([position(at=200, lon=9.0)], moves=False)
    assert (view.version, view.in_order()[0].spot) == (version, place)
    view.merge([row(revision=2, at=100)])
    assert view.in_order()[0].spot.longitude == 9.0
