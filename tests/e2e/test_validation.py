"""422: well-formed but invalid, with `errors` from field path to messages."""

import base64
from datetime import timedelta
from typing import Any

import pytest

from tests.e2e.client import Api, Client, Json, at, errors, iso, now, ok, problem, unique, unknown_id
from tests.e2e.geo import far_away, point


def coordinates(*values: Any) -> Json:
    return {"location": {"type": "Point", "coordinates": list(values)}}


BAD_BIKES: list[tuple[str, Json]] = [
    ("name", {"name": 5}),
    ("name", {"name": ["x"]}),
    ("battery_percent", {"battery_percent": 101}),
    ("battery_percent", {"battery_percent": -1}),
    ("battery_percent", {"battery_percent": "full"}),
    ("location", {"location": "here"}),
    ("location", {"location": [1, 2]}),
    ("location.type", {"location": {"type": "LineString", "coordinates": [1, 2]}}),
    ("location.type", {"location": {"coordinates": [1, 2]}}),
    ("location.coordinates", {"location": {"type": "Point"}}),
    ("location.coordinates", {"location": {"type": "Point", "coordinates": "1,2"}}),
    ("location.coordinates", coordinates()),
    ("location.coordinates", coordinates(1)),
    ("location.coordinates", coordinates(180.1, 0)),
    ("location.coordinates", coordinates(-180.1, 0)),
    ("location.coordinates", coordinates(0, 90.1)),
    ("location.coordinates", coordinates(0, -90.1)),
    ("location.coordinates", coordinates(True, 1)),
    ("location.coordinates", coordinates(1, False)),
    ("location.coordinates", coordinates("1", 2)),
    ("location.coordinates", coordinates(1, None)),
    ("location.coordinates", coordinates([1], [2])),
    ("colour", {"colour": "red"}),
    ("id", {"id": unknown_id()}),
    ("status", {"status": "available"}),
    ("location.crs", {"location": {"type": "Point", "coordinates": [1, 2], "crs": "x"}}),
]


@pytest.mark.parametrize(("path", "fields"), BAD_BIKES, ids=[path for path, _ in BAD_BIKES])
def test_a_bad_field_of_a_bike_is_named(operator: Client, path: str, fields: Json) -> None:
    assert at(errors(operator.post("/v1/bikes", {"name": unique(), **fields})), path)


@pytest.mark.parametrize("place", [(180, 90), (-180, -90), (180.0, 0), (0, 0)])
def test_the_edges_of_the_world_are_valid(operator: Client, place: tuple[float, float]) -> None:
    bike = ok(operator.post("/v1/bikes", {"name": unique(), "location": point(place)}), 201)
    operator.delete(f"/v1/bikes/{bike['id']}")
    assert bike["location"]["coordinates"] == pytest.approx(list(place))


@pytest.mark.parametrize("body", [[], [{"name": "x"}], "x", 1, True])
@pytest.mark.parametrize(
    ("role", "path"), [("operator", "/v1/bikes"), ("operator", "/v1/positions"), ("rider", "/v1/trips")]
)
def test_a_body_that_is_no_object_is_422(api: Api, role: str, path: str, body: Any) -> None:
    problem(api.client(role).post(path, body), 422)


BAD_POSITIONS: list[tuple[str, Json]] = [
    ("recorded_at", {"recorded_at": None}),
    ("recorded_at", {"recorded_at": "yesterday"}),
    ("recorded_at", {"recorded_at": 1700000000}),
    ("recorded_at", {"recorded_at": "2026-13-01T00:00:00Z"}),
    ("recorded_at", {"recorded_at": iso(now()).rstrip("Z")}),
    ("recorded_at", {"recorded_at": iso(now() - timedelta(days=30, minutes=1))}),
    ("recorded_at", {"recorded_at": iso(now() + timedelta(days=1))}),
    ("location", {"location": None}),
    ("location.coordinates", coordinates(181, 0)),
    ("location.coordinates", coordinates("1", "2")),
    ("battery_percent", {"battery_percent": 100.5}),
    ("speed_mps", {"speed_mps": "fast"}),
    ("accuracy_m", {"accuracy_m": "good"}),
    ("colour", {"colour": "red"}),
]


@pytest.mark.parametrize(("path", "fields"), BAD_POSITIONS, ids=[path for path, _ in BAD_POSITIONS])
@pytest.mark.parametrize("fleet", [True, False], ids=["fleet", "bike"])
def test_a_bad_field_of_a_position_is_named_with_its_index(
    operator: Client, fleet: bool, path: str, fields: Json
) -> None:
    bike_id = unknown_id()
    good: Json = {"recorded_at": iso(now()), "location": point(far_away()), **({"bike_id": bike_id} if fleet else {})}
    body = {"positions": [good, good, good, {**good, **fields}]}
    found = errors(operator.post("/v1/positions" if fleet else f"/v1/bikes/{bike_id}/positions", body))
    assert at(found, f"positions.3.{path}")
    assert not any(at(found, f"positions.{index}") for index in range(3))


@pytest.mark.parametrize(
    ("path", "role", "route", "body"),
    [
        ("bike_id", "rider", "/v1/trips", {}),
        ("bike_id", "rider", "/v1/trips", {"bike_id": "no-uuid"}),
        ("bike_id", "rider", "/v1/trips", {"bike_id": 7}),
        ("rider_id", "rider", "/v1/trips", {"bike_id": unknown_id(), "rider_id": "me"}),
        ("positions", "operator", "/v1/positions", {}),
        ("positions", "operator", "/v1/positions", {"positions": {}}),
        ("positions.0.bike_id", "operator", "/v1/positions", {"positions": [{}]}),
        ("positions.0.recorded_at", "operator", "/v1/positions", {"positions": [{"bike_id": unknown_id()}]}),
        ("positions.0.location", "operator", "/v1/positions", {"positions": [{"bike_id": unknown_id()}]}),
        ("positions.0", "operator", "/v1/positions", {"positions": ["x"]}),
        ("bikes", "operator", "/v1/bikes/batch", {}),
        ("bikes", "operator", "/v1/bikes/batch", {"bikes": "x"}),
        ("bikes.0.colour", "operator", "/v1/bikes/batch", {"bikes": [{"colour": "red"}]}),
    ],
)
def test_a_bad_field_elsewhere_is_named(api: Api, path: str, role: str, route: str, body: Json) -> None:
    assert at(errors(api.client(role).post(route, body)), path)


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("status", {"status": "in_use"}),
        ("status", {"status": "reserved"}),
        ("status", {"status": "retired"}),
        ("status", {"status": "flying"}),
        ("name", {"name": 5}),
        ("location", {"location": point((1, 2))}),
        ("battery_percent", {"battery_percent": 50}),
    ],
)
def test_a_change_takes_only_name_and_two_statuses(operator: Client, bike: Json, path: str, body: Json) -> None:
    assert at(errors(operator.patch(f"/v1/bikes/{bike['id']}", body)), path)


@pytest.mark.parametrize("action", ["end", "cancel"])
def test_an_unknown_field_of_an_optional_body_is_refused(operator: Client, trip: Json, action: str) -> None:
    assert at(errors(operator.post(f"/v1/trips/{trip['id']}/{action}", {"colour": "red"})), "colour")


PARAMETERS: list[tuple[str, str, Json]] = [
    *(
        (route, "limit", {"limit": limit})
        for route in ("/v1/bikes", "/v1/trips")
        for limit in ("0", "-1", "501", "x", "1.5", "", "9" * 30)
    ),
    *(
        (route, "cursor", {"cursor": cursor})
        for route in ("/v1/bikes", "/v1/trips")
        for cursor in (
            "garbage",
            "!",
            "\x00",
            "é",
            "A" * 4000,
            base64.urlsafe_b64encode(b"{}").decode(),
            base64.urlsafe_b64encode(b"null").decode(),
            base64.urlsafe_b64encode(b'["a", "b"]').decode(),
            base64.urlsafe_b64encode(b"\xff\xfe").decode(),
        )
    ),
    ("/v1/bikes", "colour", {"colour": "red"}),
    ("/v1/trips", "colour", {"colour": "red"}),
    ("/v1/bikes/00000000-0000-4000-8000-000000000000", "colour", {"colour": "red"}),
    ("/v1/bikes", "status", {"status": "flying"}),
    *(
        ("/v1/bikes", "bbox", {"bbox": bbox})
        for bbox in ("1,2,3", "1,2,3,4,5", "a,b,c,d", "nan,0,1,1", "0,0,inf,1", "0,0,1,91", "181,0,182,1", "")
    ),
    *(
        ("/v1/bikes", name, {"lat": "0", "lon": "0", name: value})
        for name, value in (
            ("lat", "90.1"),
            ("lat", "nan"),
            ("lat", "x"),
            ("lon", "-180.1"),
            ("lon", "inf"),
            ("radius", "50001"),
            ("radius", "-1"),
            ("radius", "nan"),
            ("limit", "501"),
        )
    ),
    ("/v1/trips", "status", {"status": "flying"}),
    ("/v1/trips", "bike_id", {"bike_id": "no-uuid"}),
    ("/v1/trips", "started_after", {"started_after": "yesterday"}),
    ("/v1/trips", "started_before", {"started_before": "2026-99-01T00:00:00Z"}),
]


@pytest.mark.parametrize(
    ("route", "name", "params"), PARAMETERS, ids=[f"{route}-{name}" for route, name, _ in PARAMETERS]
)
def test_a_bad_query_parameter_is_422(operator: Client, route: str, name: str, params: Json) -> None:
    found = errors(operator.get(route, **params))
    assert name in found


@pytest.mark.parametrize("alone", ["lat", "lon"])
def test_lat_and_lon_go_only_together(anonymous: Client, alone: str) -> None:
    # either of the two may be the one named
    assert errors(anonymous.get(f"/v1/bikes?{alone}=1")).keys() & {"lat", "lon"}


@pytest.mark.parametrize("limit", ["1", "500"])
@pytest.mark.parametrize("route", ["/v1/bikes", "/v1/trips"])
def test_the_bounds_of_limit_are_valid(operator: Client, trip: Json, route: str, limit: str) -> None:
    assert 1 <= len(ok(operator.get(route, limit=limit))["items"]) <= int(limit)


def test_a_cut_off_cursor_is_422(operator: Client, add_bike: Any) -> None:
    add_bike()
    add_bike()
    cursor = ok(operator.get("/v1/bikes", limit="1"))["next"]
    assert "cursor" in errors(operator.get("/v1/bikes", limit="1", cursor=cursor[: len(cursor) // 2]))
