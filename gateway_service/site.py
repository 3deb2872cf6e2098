"""The unversioned entrypoints: index, liveness, health, documentation."""

from typing import Any

from gateway_service import API_VERSION, openapi, pages
from gateway_service import status_schemas as status
from gateway_service.bikes import BikeService
from gateway_service.trips import TripService
from shared.health import check_all
from shared.http import Answer, Call, Response, http

HEALTH_CALL_TIMEOUT_S = 1.2
HTML, SCRIPT, STYLE, TEXT = (
    Response(media_type=each) for each in ("text/html", "text/javascript", "text/css", "text/plain")
)


class Site:
    """The part of the gateway that is no API; a base class of `GatewayService`, which has the dependencies."""

    bike_rpc: Any
    trip_rpc: Any
    publisher: Any

    @http("GET", "/", summary="Index", tag="Gateway", responses=(Response(status.IndexSchema()),))
    def index(self, call: Call) -> Any:
        links = {"health": "/health", "openapi": "/openapi.json", "docs": "/docs", "map": "/map", "bikes": "/v1/bikes"}
        return {"name": "Bike Company", "version": API_VERSION, "links": {**links, "trips": "/v1/trips"}}

    @http("GET", "/ping", summary="Whether the gateway runs", tag="Gateway", responses=(TEXT,))
    def ping(self, call: Call) -> Any:
        return Answer("pong", media_type="text/plain; charset=utf-8")

    @http(
        "GET",
        "/health",
        summary="Whether all that the gateway needs is there",
        tag="Gateway",
        # The answer comes within 2 s: this wait, and the checks.
        worker_wait_s=0.3,
        responses=(Response(status.HealthSchema()),),
        other_responses={503: Response(status.HealthSchema())},
    )
    def health(self, call: Call) -> Any:
        health = check_all(
            {
                "broker": lambda: self.publisher.check(HEALTH_CALL_TIMEOUT_S),
                "bike_service": BikeService(self.bike_rpc, HEALTH_CALL_TIMEOUT_S).check,
                "trip_service": TripService(self.trip_rpc, HEALTH_CALL_TIMEOUT_S).check,
            }
        )
        if health["status"] == "ok":
            return Answer(health, headers={"Cache-Control": "no-store"})
        return Answer(health, status=503, headers={"Retry-After": "2"})

    @http("GET", "/openapi.json", summary="This API as OpenAPI 3.1", tag="Gateway")
    def openapi(self, call: Call) -> Any:
        service: Any = type(self)
        return openapi.page_of(service).answer(call.headers)

    @http("GET", "/docs", summary="This API as a page", tag="Gateway", responses=(HTML,))
    def docs(self, call: Call) -> Any:
        return pages.DOCS_PAGE.answer(call.headers)

    @http("GET", "/docs/docs.js", summary="The page's script", documented=False, responses=(SCRIPT,))
    def docs_script(self, call: Call) -> Any:
        return pages.DOCS_SCRIPT.answer(call.headers)

    @http("GET", "/docs/docs.css", summary="The page's style", documented=False, responses=(STYLE,))
    def docs_style(self, call: Call) -> Any:
        return pages.DOCS_STYLE.answer(call.headers)
