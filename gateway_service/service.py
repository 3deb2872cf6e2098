"""The entrypoints: each route, who may call it, what it takes and answers, and the one call that does it."""

from functools import cached_property
from typing import Any

from nameko.dependency_providers import Config

from gateway_service import auth, gpx, positions
from gateway_service import schemas as s
from gateway_service import status_schemas as status
from gateway_service.bikes import BikeService
from gateway_service.feeds import Feeds
from gateway_service.gbfs import Gbfs
from gateway_service.reports import Reports
from gateway_service.site import Site
from gateway_service.stream import LiveStream
from gateway_service.trips import TripService
from shared.http import Answer, Call, Response, http
from shared.http_route import MIB
from shared.log import WorkerLog
from shared.publisher import Publisher
from shared.rpc_batch import BatchProxy
from shared.rpc_proxy import RpcProxy
from shared.worker_traces import Traces

TELEMETRY_LIMIT = 8 * MIB
GEO_JSON = "application/geo+json"
ROUTE_MEDIA_TYPES = ("application/json", GEO_JSON, gpx.MEDIA_TYPE)


def json_of(schema: Any) -> tuple[Response]:
    return (Response(schema()),)


def created(resource: dict[str, Any], path: str, replayed: bool) -> Answer:
    """201 with the new resource's address; `replayed`: it is the kept answer to an earlier request."""
    headers = {"Location": f"{path}/{resource['id']}"}
    if replayed:
        headers["Idempotency-Replayed"] = "true"
    return Answer(resource, headers=headers)


class GatewayService(Site, Gbfs):
    name = "gateway_service"

    # The access log has a line of each request.
    log = WorkerLog(line=False)
    traces = Traces()
    config = Config()
    publisher = Publisher()
    reports = Reports()
    feeds = Feeds()
    live = LiveStream()
    bike_rpc = RpcProxy("bike_service")
    bike_get = BatchProxy("bike_service", "get_many", passes_on=True)
    # Fewer together, for each answer is a list.
    bike_near = BatchProxy("bike_service", "near_many", max_calls=20, passes_on=True)
    trip_rpc = RpcProxy("trip_service")
    trip_start = BatchProxy("trip_service", "start_many")
    trip_end = BatchProxy("trip_service", "end_many")

    @cached_property
    def bikes(self) -> BikeService:
        return BikeService(self.bike_rpc, self.config["SETTINGS"].rpc_timeout, self.bike_get, self.bike_near)

    @cached_property
    def trips(self) -> TripService:
        return TripService(self.trip_rpc, self.config["SETTINGS"].rpc_timeout, self.trip_start, self.trip_end)

    @http(
        "POST",
        "/v1/bikes",
        summary="Add a bike",
        tag="Bikes",
        roles=auth.ONLY_OPERATORS,
        body=s.NewBikeSchema(),
        body_required=False,
        takes_idempotency_key=True,
        status=201,
        responses=json_of(s.BikeSchema),
        response_headers=("Location",),
        errors=(409,),
    )
    def add_bike(self, call: Call) -> Any:
        bike, replayed = self.bikes.add(s.NewBikeSchema().dump(call.body), call.subject, call.idempotency_key)
        return created(bike, "/v1/bikes", replayed)

    @http(
        "POST",
        "/v1/bikes/batch",
        summary="Add bikes, all or none",
        tag="Bikes",
        roles=auth.ONLY_OPERATORS,
        body=s.NewBikesSchema(),
        status=201,
        responses=json_of(s.AddedBikesSchema),
        errors=(409,),
    )
    def add_bikes(self, call: Call) -> Any:
        return self.bikes.add_many(s.NewBikesSchema().dump(call.body)["bikes"])

    @http(
        "GET",
        "/v1/bikes",
        summary="List bikes, or find the nearest",
        description="With lat and lon: the nearest first, each with `distance_m`, not paged; `status` is then "
        "`available` unless given. Without them: a list in pages. Retired bikes only with `status=retired`.",
        tag="Bikes",
        may_be_closed=True,
        query=s.BikeQuerySchema(),
        responses=json_of(s.BikesSchema),
    )
    def list_bikes(self, call: Call) -> Any:
        viewer = auth.viewer_of(call.identity)
        if "lat" in call.query:
            return self.bikes.near(viewer, call.query)
        return self.bikes.list(viewer, call.query)

    @http(
        "GET",
        "/v1/bikes/{bike_id}",
        summary="Get a bike",
        tag="Bikes",
        may_be_closed=True,
        responses=json_of(s.BikeSchema),
    )
    def get_bike(self, call: Call) -> Any:
        return self.bikes.get(call.path["bike_id"], auth.viewer_of(call.identity))

    @http(
        "PATCH",
        "/v1/bikes/{bike_id}",
        summary="Change a bike",
        tag="Bikes",
        roles=auth.ONLY_OPERATORS,
        body=s.BikeChangeSchema(),
        body_required=False,
        responses=json_of(s.BikeSchema),
        errors=(409,),
    )
    def change_bike(self, call: Call) -> Any:
        return self.bikes.change(call.path["bike_id"], call.body)

    @http(
        "DELETE",
        "/v1/bikes/{bike_id}",
        summary="Retire a bike",
        description="It keeps its history, and is still answered by its id.",
        tag="Bikes",
        roles=auth.ONLY_OPERATORS,
        status=204,
        responses=(),
        errors=(409,),
    )
    def retire_bike(self, call: Call) -> Any:
        self.bikes.retire(call.path["bike_id"])

    @http(
        "POST",
        "/v1/bikes/{bike_id}/positions",
        summary="Report positions of a bike",
        description="202 means that the broker has confirmed them: from then on they are not lost.",
        tag="Positions",
        roles=auth.VEHICLES_AND_OPERATORS,
        permit=auth.require_own_bike,
        body=positions.BikeReportSchema(),
        body_limit=TELEMETRY_LIMIT,
        status=202,
        responses=json_of(s.AcceptedSchema),
    )
    def report_bike_positions(self, call: Call) -> Any:
        bike_id = call.path["bike_id"]
        return {"accepted": positions.publish(self.reports, call.body["positions"], call.request_id, bike_id)}

    @http(
        "POST",
        "/v1/positions",
        summary="Report positions of any bikes",
        description="202 means that the broker has confirmed them: from then on they are not lost.",
        tag="Positions",
        roles=auth.ONLY_OPERATORS,
        body=positions.FleetReportSchema(),
        body_limit=TELEMETRY_LIMIT,
        status=202,
        responses=json_of(s.AcceptedSchema),
    )
    def report_positions(self, call: Call) -> Any:
        return {"accepted": positions.publish(self.reports, call.body["positions"], call.request_id)}

    @http(
        "POST",
        "/v1/trips",
        summary="Start a trip",
        tag="Trips",
        roles=auth.ONLY_RIDERS,
        body=s.NewTripSchema(),
        takes_idempotency_key=True,
        status=201,
        responses=json_of(s.TripSchema),
        response_headers=("Location",),
        errors=(404, 409),
    )
    def start_trip(self, call: Call) -> Any:
        trip, replayed = self.trips.start(call.body["bike_id"], call.subject, call.idempotency_key)
        return created(trip, "/v1/trips", replayed)

    @http(
        "GET",
        "/v1/trips",
        summary="List trips, newest first",
        description="A rider sees their own only.",
        tag="Trips",
        roles=auth.RIDERS_AND_OPERATORS,
        query=s.TripQuerySchema(),
        responses=json_of(s.TripsSchema),
    )
    def list_trips(self, call: Call) -> Any:
        return self.trips.list(auth.own_rider_id(call.identity), call.query)

    @http(
        "GET",
        "/v1/trips/{trip_id}",
        summary="Get a trip",
        tag="Trips",
        roles=auth.RIDERS_AND_OPERATORS,
        responses=json_of(s.TripSchema),
    )
    def get_trip(self, call: Call) -> Any:
        return self.trips.get(call.path["trip_id"], auth.own_rider_id(call.identity))

    @http(
        "POST",
        "/v1/trips/{trip_id}/end",
        summary="End a trip",
        description="Asking again answers the same.",
        tag="Trips",
        roles=auth.RIDERS_AND_OPERATORS,
        body=s.TripEndSchema(),
        body_required=False,
        responses=json_of(s.TripSchema),
        errors=(409,),
    )
    def end_trip(self, call: Call) -> Any:
        location = s.TripEndSchema().dump(call.body).get("location")
        return self.trips.end(call.path["trip_id"], location, auth.own_rider_id(call.identity))

    @http(
        "POST",
        "/v1/trips/{trip_id}/cancel",
        summary="Cancel a trip",
        description="No fare; the bike is available again. Asking again answers the same.",
        tag="Trips",
        roles=auth.ONLY_OPERATORS,
        body=s.NothingSchema(),
        body_required=False,
        responses=json_of(s.TripSchema),
        errors=(409,),
    )
    def cancel_trip(self, call: Call) -> Any:
        return self.trips.cancel(call.path["trip_id"])

    @http(
        "GET",
        "/v1/trips/{trip_id}/route",
        summary="Get the way of a trip",
        tag="Trips",
        roles=auth.RIDERS_AND_OPERATORS,
        responses=(
            Response(status.RouteSchema()),
            Response(status.RouteSchema(), GEO_JSON),
            Response(media_type=gpx.MEDIA_TYPE),
        ),
    )
    def get_trip_route(self, call: Call) -> Any:
        feature = self.trips.route(call.path["trip_id"], auth.own_rider_id(call.identity))
        media_type = call.preferred(ROUTE_MEDIA_TYPES)
        body = gpx.gpx_of(feature) if media_type == gpx.MEDIA_TYPE else feature
        return Answer(body, headers={"Vary": "Accept"}, media_type=media_type)

    @http(
        "GET",
        "/v1/stream",
        summary="See bikes and trips as they change",
        tag="Stream",
        roles=auth.ONLY_OPERATORS,
        query=s.StreamQuerySchema(),
        documented=False,
    )
    def read_stream(self, call: Call) -> Any:
        bbox = call.query.get("bbox")
        return self.live.open(tuple(bbox) if bbox else None, call.headers.get("Last-Event-ID"))
