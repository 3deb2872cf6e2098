"""The GBFS entrypoints: the fleet and the system as journey planners read them, for everybody and for any origin."""

from datetime import UTC, datetime
from typing import Any

from gateway_service import gbfs_schemas as s
from gateway_service.feeds import Publisher
from shared.http import Call, Response, http
from shared.problems import Problem


def feed(path: str, summary: str, schema: Any, errors: tuple[int, ...] = ()) -> Any:
    """A route that anybody may read from anywhere."""
    return http(
        "GET",
        f"/gbfs/{path}.json",
        summary=summary,
        description="GBFS 3.0. With `ETag`: `If-None-Match` with what it was is answered by 304.",
        tag="GBFS",
        any_origin=True,
        responses=(Response(schema()),),
        response_headers=("Cache-Control", "ETag"),
        errors=errors,
    )


class Gbfs:
    """The feeds; a base class of `GatewayService`, which has the dependencies."""

    feeds: Publisher

    @feed("manifest", "What this system publishes", s.ManifestSchema, errors=(400,))
    def gbfs_manifest(self, call: Call) -> Any:
        return self.feeds.answer(call, self.feeds.documents.manifest(self.feeds.base_url(call)))

    @feed("3.0/gbfs", "Where the feeds are", s.DiscoverySchema, errors=(400,))
    def gbfs_discovery(self, call: Call) -> Any:
        return self.feeds.answer(call, self.feeds.documents.gbfs(self.feeds.base_url(call), datetime.now(UTC)))

    @feed("3.0/gbfs_versions", "Which versions there are", s.VersionsSchema, errors=(400,))
    def gbfs_versions(self, call: Call) -> Any:
        return self.feeds.answer(call, self.feeds.documents.gbfs_versions(self.feeds.base_url(call)))

    @feed("3.0/system_information", "Who runs the system", s.SystemInformationSchema)
    def gbfs_system_information(self, call: Call) -> Any:
        return self.feeds.answer(call, self.feeds.documents.system_information())

    @feed("3.0/vehicle_types", "What kinds of bikes there are", s.VehicleTypesSchema)
    def gbfs_vehicle_types(self, call: Call) -> Any:
        return self.feeds.answer(call, self.feeds.documents.vehicle_types())

    @feed("3.0/system_pricing_plans", "What a trip costs", s.PricingPlansSchema)
    def gbfs_system_pricing_plans(self, call: Call) -> Any:
        return self.feeds.answer(call, self.feeds.documents.system_pricing_plans())

    @feed("3.0/system_alerts", "What is out of the ordinary", s.AlertsSchema, errors=(404,))
    def gbfs_system_alerts(self, call: Call) -> Any:
        document = self.feeds.documents.system_alerts(datetime.now(UTC))
        if document is None:
            raise Problem(404, "There are no alerts.")
        return self.feeds.answer(call, document)

    @feed("3.0/vehicle_status", "Where the bikes are", s.VehicleStatusSchema, errors=(503,))
    def gbfs_vehicle_status(self, call: Call) -> Any:
        return self.feeds.vehicles.current().answer(call.headers)
