"""Each route: who may call it, what it asks of the services, what it answers."""

import json
import time
from datetime import UTC, datetime, timedelta

import pytest

from shared.errors import Conflict, Unavailable
from shared.fields import format_time
from tests.unit.gateway_app import BIKE, BIKE_ID, TRIP, TRIP_ID, FakePublisher, FakeService, gateway, token

POINT = {"type": "Point", "coordinates": [5.5, 50.25]}
ROLES = ("rider", "operator", "vehicle")
WHO: dict[tuple[str, str], set[str | None]] = {
    ("POST", "/v1/bikes"): {"operator"},
    ("POST", "/v1/bikes/batch"): {"operator"},
    ("GET", "/v1/bikes"): {*ROLES, None},
    ("GET", f"/v1/bikes/{BIKE_ID}"): {*ROLES, None},
    ("PATCH", f"/v1/bikes/{BIKE_ID}"): {"operator"},
    ("DELETE", f"/v1/bikes/{BIKE_ID}"): {"operator"},
    ("POST", f"/v1/bikes/{BIKE_ID}/positions"): {"vehicle", "operator"},
    ("POST", "/v1/positions"): {"operator"},
    ("POST", "/v1/trips"): {"rider"},
    ("GET", "/v1/trips"): {"rider", "operator"},
    ("GET", f"/v1/trips/{TRIP_ID}"): {"rider", "operator"},
    ("POST", f"/v1/trips/{TRIP_ID}/end"): {"rider", "operator"},
    ("POST", f"/v1/trips/{TRIP_ID}/cancel"): {"operator"},
    ("GET", f"/v1/trips/{TRIP_ID}/route"): {"rider", "operator"},
}


@pytest.mark.parametrize("role", [*ROLES, None])
@pytest.mark.parametrize(("method", "path"), WHO)
def test_who_may_do_what(method, path, role):
    response = gateway().open(path, method=method, headers=token(role) if role else {})
    if role in WHO[method, path]:
        assert response.status_code not in (401, 403)
    else:
        assert response.status_code == (403 if role else 401)


def report(**changes) -> dict:
    return {"recorded_at": format_time(datetime.now(UTC)), "location": POINT, **changes}


class TestSite:
    def test_index(self):
        index = gateway().get("/").json
        assert set(index) == {"name", "version", "links"}

    def test_ping_asks_nobody(self):
        bikes = FakeService()
        response = gateway(bikes).get("/ping")
        assert (response.status_code, response.text, bikes.calls) == (200, "pong", [])

    def test_health_is_200_when_all_is_there(self):
        there = FakeService(health={"status": "ok"})
        response = gateway(there, there).get("/health")
        assert response.status_code == 200
        assert response.json == {
            "status": "ok",
            "checks": {"broker": "ok", "bike_service": "ok", "trip_service": "ok"},
        }

    def test_health_is_503_when_something_is_away_and_says_what(self):
        there, away = FakeService(health={"status": "ok"}), FakeService(health=Unavailable("away"))
        response = gateway(there, away, FakePublisher(Unavailable("away"))).get("/health")
        assert response.status_code == 503
        assert response.headers["Retry-After"]
        assert response.json == {
            "status": "degraded",
            "checks": {"broker": "unavailable", "bike_service": "ok", "trip_service": "unavailable"},
        }

    @pytest.mark.parametrize("path", ["/docs", "/docs/docs.js", "/docs/docs.css", "/openapi.json"])
    def test_documents_are_served_once_and_then_by_their_etag(self, path):
        client = gateway()
        response = client.get(path)
        assert response.status_code == 200
        assert "default-src 'none'" in response.headers["Content-Security-Policy"]
        again = client.get(path, headers={"If-None-Match": response.headers["ETag"]})
        assert (again.status_code, again.data) == (304, b"")


class TestBikes:
    def test_add_passes_the_bike_on_under_an_id_of_its_own(self):
        bikes = FakeService(add={**BIKE, "replayed": False})
        headers = {**token("operator", "op"), "Idempotency-Key": "k"}
        response = gateway(bikes).post("/v1/bikes", headers=headers, json={"name": "one", "location": POINT})
        assert (response.status_code, response.json) == (201, BIKE)
        assert response.headers["Location"] == f"/v1/bikes/{BIKE_ID}"
        assert "Idempotency-Replayed" not in response.headers
        method, (sent,), options = bikes.calls[0]
        assert len(sent.pop("id")) == 36
        assert (method, sent) == ("add", {"name": "one", "location": POINT})
        assert options == {"subject": "op", "idempotency_key": "k"}

    def test_a_kept_answer_says_that_it_is_one(self):
        bikes = FakeService(add={**BIKE, "replayed": True})
        response = gateway(bikes).post("/v1/bikes", headers={**token("operator"), "Idempotency-Key": "k"})
        assert (response.status_code, response.json) == (201, BIKE)
        assert response.headers["Idempotency-Replayed"] == "true"

    @pytest.mark.parametrize("key", ["", "a b", "x" * 256, "é", "a\tb"])
    def test_a_malformed_idempotency_key_is_400(self, key):
        headers = {**token("operator"), "Idempotency-Key": key}
        assert gateway().post("/v1/bikes", headers=headers).status_code == 400

    def test_add_many_gives_each_an_id(self):
        bikes = FakeService(add_many={"items": [BIKE]})
        response = gateway(bikes).post(
            "/v1/bikes/batch", headers=token("operator"), json={"bikes": [{"name": "one"}, {"location": POINT}]}
        )
        assert (response.status_code, response.json) == (201, {"items": [BIKE]})
        (sent,) = bikes.calls[0][1]
        assert [{**bike, "id": len(bike["id"])} for bike in sent] == [
            {"name": "one", "id": 36},
            {"location": POINT, "id": 36},
        ]

    def test_each_bad_row_of_a_batch_is_named(self):
        response = gateway().post(
            "/v1/bikes/batch",
            headers=token("operator"),
            json={"bikes": [{}, {"battery_percent": 101}, {"location": {"type": "Point", "coordinates": [181, 0]}}]},
        )
        assert response.status_code == 422
        assert set(response.json["errors"]) == {"bikes.1.battery_percent", "bikes.2.location.coordinates"}

    def test_list_passes_filters_and_viewer(self):
        bikes = FakeService(list={"items": [], "next": None})
        query = {"status": "in_use", "bbox": "179,-1,-179,1", "limit": "7", "cursor": "c"}
        response = gateway(bikes).get("/v1/bikes", query_string=query, headers=token("rider", "ann"))
        assert response.json == {"items": [], "next": None}
        viewer = {"role": "rider", "sub": "ann"}
        expected = {"status": "in_use", "bbox": [179, -1, -179, 1], "limit": 7, "cursor": "c", "viewer": viewer}
        assert bikes.calls == [("list", (), expected)]

    def test_near_is_asked_with_lat_and_lon(self):
        bikes = FakeService(near={"items": [], "next": None})
        response = gateway(bikes).get("/v1/bikes?lat=-90&lon=180&radius=0.5&limit=3")
        assert response.status_code == 200
        viewer = {"role": "anonymous", "sub": None}
        expected = {"lat": -90.0, "lon": 180.0, "radius": 0.5, "limit": 3, "viewer": viewer}
        assert bikes.calls == [("near", (), expected)]

    @pytest.mark.parametrize(
        ("query", "field"),
        [
            ("lat=1", "lon"),
            ("lon=1", "lat"),
            ("radius=5", "radius"),
            ("lat=1&lon=1&bbox=1,1,2,2", "bbox"),
            ("lat=1&lon=1&cursor=x", "cursor"),
            ("lat=91&lon=1", "lat"),
            ("lat=1&lon=-180.1", "lon"),
            ("lat=nan&lon=1", "lat"),
            ("lat=1&lon=inf", "lon"),
            ("lat=&lon=1", "lat"),
            ("lat=1&lon=1&radius=50001", "radius"),
            ("lat=1&lon=1&radius=-1", "radius"),
            ("limit=0", "limit"),
            ("limit=501", "limit"),
            ("limit=1.5", "limit"),
            ("limit=-1", "limit"),
            ("limit=%D9%A1", "limit"),
            ("limit=", "limit"),
            ("status=flying", "status"),
            ("cursor=", "cursor"),
            ("bbox=1,2,3", "bbox"),
            ("bbox=1,2,3,x", "bbox"),
            ("bbox=1,2,3,nan", "bbox"),
            ("bbox=1,3,2,2", "bbox"),
            ("bbox=-181,0,1,1", "bbox"),
            ("bbox=0,0,1,91", "bbox"),
        ],
    )
    def test_a_list_is_asked_for_properly(self, query, field):
        response = gateway().get("/v1/bikes?" + query)
        assert response.status_code == 422
        assert field in response.json["errors"]

    def test_get(self):
        bikes = FakeService(get=BIKE)
        response = gateway(bikes).get(f"/v1/bikes/{BIKE_ID.upper()}")
        assert (response.status_code, response.json) == (200, BIKE)
        assert bikes.calls == [("get", (), {"bike_id": BIKE_ID, "viewer": {"role": "anonymous", "sub": None}})]

    @pytest.mark.parametrize("bike_id", ["x", BIKE_ID.replace("-", ""), "{" + BIKE_ID + "}", BIKE_ID + "0"])
    def test_an_id_that_is_none_is_404(self, bike_id):
        assert gateway().get(f"/v1/bikes/{bike_id}").status_code == 404

    def test_change(self):
        bikes = FakeService(change=BIKE)
        response = gateway(bikes).patch(
            f"/v1/bikes/{BIKE_ID}", headers=token("operator"), json={"status": "out_of_service"}
        )
        assert (response.status_code, response.json) == (200, BIKE)
        assert bikes.calls == [("change", (BIKE_ID, {"status": "out_of_service"}), {})]

    @pytest.mark.parametrize("change", [{"status": "in_use"}, {"status": None}, {"name": ""}, {"location": POINT}])
    def test_what_cannot_be_changed_is_422(self, change):
        response = gateway().patch(f"/v1/bikes/{BIKE_ID}", headers=token("operator"), json=change)
        assert response.status_code == 422

    def test_retire(self):
        bikes = FakeService(retire=BIKE)
        response = gateway(bikes).delete(f"/v1/bikes/{BIKE_ID}", headers=token("operator"))
        assert (response.status_code, response.data) == (204, b"")
        assert bikes.calls == [("retire", (BIKE_ID,), {})]


class TestPositions:
    def test_a_vehicle_reports_where_it_is(self):
        publisher = FakePublisher()
        headers = {**token("vehicle", BIKE_ID), "X-Request-ID": "r-1"}
        position = report(
            recorded_at=format_time(datetime.now(UTC).replace(microsecond=5)), speed_mps=4, accuracy_m=None
        )
        path = f"/v1/bikes/{BIKE_ID}/positions"
        response = gateway(publisher=publisher).post(path, headers=headers, json={"positions": [position]})
        assert (response.status_code, response.json) == (202, {"accepted": 1})
        ((exchange, routing_key, body, options),) = publisher.published
        assert (exchange, routing_key) == ("positions", f"bike.{BIKE_ID}.position")
        expected = {"bike_id": BIKE_ID, "recorded_at": position["recorded_at"], "location": POINT, "speed_mps": 4.0}
        assert json.loads(body) == {"positions": [expected]}
        assert options["headers"] == {"nameko.request_id": "r-1"}
        assert abs(options["timestamp"] - time.time()) < 5

    def test_a_vehicle_does_not_report_for_another(self):
        publisher = FakePublisher()
        response = gateway(publisher=publisher).post(
            f"/v1/bikes/{TRIP_ID}/positions", headers=token("vehicle", BIKE_ID), data="not even JSON"
        )
        assert (response.status_code, publisher.published) == (403, [])

    def test_an_operator_reports_for_many(self):
        publisher = FakePublisher()
        positions = [report(bike_id=BIKE_ID.upper()), report(bike_id=TRIP_ID)]
        response = gateway(publisher=publisher).post(
            "/v1/positions", headers=token("operator"), json={"positions": positions}
        )
        assert (response.status_code, response.json) == (202, {"accepted": 2})
        ((_, routing_key, body, _),) = publisher.published
        assert routing_key == "fleet.position"
        assert [each["bike_id"] for each in json.loads(body)["positions"]] == [BIKE_ID, TRIP_ID]

    @pytest.mark.parametrize("age", [timedelta(days=30, minutes=1), timedelta(minutes=-6)])
    def test_a_position_out_of_time_is_named(self, age):
        publisher = FakePublisher()
        positions = [report(), report(recorded_at=format_time(datetime.now(UTC) - age))]
        response = gateway(publisher=publisher).post(
            f"/v1/bikes/{BIKE_ID}/positions", headers=token("operator"), json={"positions": positions}
        )
        assert response.status_code == 422
        assert set(response.json["errors"]) == {"positions.1.recorded_at"}
        assert publisher.published == []

    @pytest.mark.parametrize(
        ("changes", "field"),
        [
            ({"recorded_at": None}, "recorded_at"),
            ({"recorded_at": "2026-05-01T12:00:00"}, "recorded_at"),
            ({"location": None}, "location"),
            ({"location": {"type": "Point", "coordinates": [True, 1]}}, "location.coordinates"),
            ({"battery_percent": "50"}, "battery_percent"),
            ({"speed_mps": -1}, "speed_mps"),
            ({"bike_id": BIKE_ID}, "bike_id"),
        ],
    )
    def test_a_position_that_is_wrong_is_named(self, changes, field):
        positions = [report() for _ in range(150)] + [report(**changes)]
        response = gateway().post(
            f"/v1/bikes/{BIKE_ID}/positions", headers=token("operator"), json={"positions": positions}
        )
        assert response.status_code == 422
        assert set(response.json["errors"]) == {f"positions.150.{field}"}

    @pytest.mark.parametrize("positions", [[], [{}] * 1001, None, {}, "x"])
    def test_so_many_positions_are_taken_and_no_more(self, positions):
        response = gateway().post(
            f"/v1/bikes/{BIKE_ID}/positions", headers=token("operator"), json={"positions": positions}
        )
        assert response.status_code == 422
        assert set(response.json["errors"]) == {"positions"}

    def test_positions_that_the_broker_has_not_confirmed_are_not_accepted(self):
        app = gateway(publisher=FakePublisher(Unavailable("The broker is away.")))
        response = app.post("/v1/positions", headers=token("operator"), json={"positions": [report(bike_id=BIKE_ID)]})
        assert response.status_code == 503
        assert response.headers["Retry-After"]

    def test_telemetry_may_be_longer_than_other_bodies(self):
        for size, status in (((8 << 20) - 20, 422), ((8 << 20) + 1, 413)):
            body = '{"positions": "' + "x" * (size - 17) + '"}'
            options = {"headers": token("operator"), "data": body, "content_type": "application/json"}
            assert gateway().post("/v1/positions", **options).status_code == status


class TestTrips:
    def test_start(self):
        trips = FakeService(start={**TRIP, "replayed": True})
        headers = {**token("rider", "ann"), "Idempotency-Key": "k"}
        response = gateway(trips=trips).post("/v1/trips", headers=headers, json={"bike_id": BIKE_ID.upper()})
        assert (response.status_code, response.json) == (201, TRIP)
        assert response.headers["Location"] == f"/v1/trips/{TRIP_ID}"
        assert response.headers["Idempotency-Replayed"] == "true"
        method, arguments, options = trips.calls[0]
        assert (method, arguments) == ("start", (BIKE_ID, "ann"))
        assert len(options.pop("trip_id")) == 36
        assert options == {"idempotency_key": "k"}

    def test_a_start_that_was_refused_is_refused_again_the_same_way(self):
        trips = FakeService(start=Conflict("In use.", {"replayed": "True"}))
        response = gateway(trips=trips).post("/v1/trips", headers=token("rider"), json={"bike_id": BIKE_ID})
        assert (response.status_code, response.headers["Idempotency-Replayed"]) == (409, "true")
        assert "replayed" not in response.json

    @pytest.mark.parametrize("body", [{}, {"bike_id": "x"}, {"bike_id": None}, {"bike_id": BIKE_ID, "rider_id": "bob"}])
    def test_a_start_names_a_bike_and_nothing_else(self, body):
        assert gateway().post("/v1/trips", headers=token("rider"), json=body).status_code == 422

    def test_a_rider_lists_their_own(self):
        trips = FakeService(list={"items": [], "next": None})
        query = {"status": "ended", "started_after": "2026-05-01T14:00:00+02:00", "bike_id": BIKE_ID}
        gateway(trips=trips).get("/v1/trips", query_string=query, headers=token("rider", "ann"))
        expected = {"status": "ended", "started_after": "2026-05-01T12:00:00Z", "bike_id": BIKE_ID, "limit": 50}
        assert trips.calls == [("list", (), {**expected, "rider_id": "ann"})]

    def test_a_rider_finds_no_trip_of_another(self):
        trips = FakeService(list={"items": [TRIP], "next": None})
        response = gateway(trips=trips).get("/v1/trips?rider_id=bob", headers=token("rider", "ann"))
        assert (response.json, trips.calls) == ({"items": [], "next": None}, [])

    def test_an_operator_lists_all_or_those_of_one(self):
        trips = FakeService(list={"items": [], "next": None})
        for query, filters in (("", {}), ("?rider_id=bob", {"rider_id": "bob"})):
            gateway(trips=trips).get("/v1/trips" + query, headers=token("operator"))
            assert trips.calls.pop() == ("list", (), {**filters, "limit": 50})

    @pytest.mark.parametrize(
        "query", ["status=over", "bike_id=x", "rider_id=", "started_after=now", "limit=0", "offset=1"]
    )
    def test_a_list_is_asked_for_properly(self, query):
        assert gateway().get("/v1/trips?" + query, headers=token("operator")).status_code == 422

    @pytest.mark.parametrize(("role", "rider_id"), [("rider", "ann"), ("operator", None)])
    def test_a_trip_is_asked_for_on_behalf_of_its_rider(self, role, rider_id):
        feature: dict = {"type": "Feature", "geometry": None, "properties": {}}
        trips = FakeService(get=TRIP, end=TRIP, route=feature)
        client, headers = gateway(trips=trips), token(role, "ann")
        assert client.get(f"/v1/trips/{TRIP_ID}", headers=headers).json == TRIP
        assert client.post(f"/v1/trips/{TRIP_ID}/end", headers=headers).json == TRIP
        assert client.post(f"/v1/trips/{TRIP_ID}/end", headers=headers, json={"location": POINT}).json == TRIP
        assert client.get(f"/v1/trips/{TRIP_ID}/route", headers=headers).json == feature
        assert trips.calls == [
            ("get", (TRIP_ID,), {"rider_id": rider_id}),
            ("end", (TRIP_ID,), {"location": None, "rider_id": rider_id}),
            ("end", (TRIP_ID,), {"location": POINT, "rider_id": rider_id}),
            ("route", (TRIP_ID,), {"rider_id": rider_id}),
        ]

    def test_cancel_takes_no_body_or_an_empty_one(self):
        client = gateway(trips=FakeService(cancel=TRIP))
        path = f"/v1/trips/{TRIP_ID}/cancel"
        assert client.post(path, headers=token("operator")).json == TRIP
        assert client.post(path, headers=token("operator"), json={}).status_code == 200
        assert client.post(path, headers=token("operator"), json={"reason": "x"}).status_code == 422

    @pytest.mark.parametrize(
        ("accept", "media_type"),
        [
            (None, "application/json"),
            ("*/*", "application/json"),
            ("text/html", "application/json"),
            ("application/geo+json", "application/geo+json"),
            ("application/gpx+xml", "application/gpx+xml"),
            ("application/json;q=0.5, application/gpx+xml", "application/gpx+xml"),
        ],
    )
    def test_a_route_comes_as_the_client_would_have_it(self, accept, media_type):
        properties = {"trip_id": TRIP_ID, "bike_id": BIKE_ID, "recorded_at": []}
        feature = {"type": "Feature", "geometry": None, "properties": properties}
        headers = {**token("operator"), **({"Accept": accept} if accept else {})}
        response = gateway(trips=FakeService(route=feature)).get(f"/v1/trips/{TRIP_ID}/route", headers=headers)
        assert (response.status_code, response.mimetype) == (200, media_type)
        assert response.headers["Vary"] == "Accept"
