"""The map's entrypoints: the page, and each of its files."""

from typing import Any

from gateway_service import map_pages
from gateway_service.pages import Page
from shared.http import Call, Response, http


class MapSite:
    """The map, as a base class of `GatewayService`, which has the settings."""

    config: Any

    @http("GET", "/map", summary="The fleet on a map", tag="Gateway", responses=(Response(media_type="text/html"),))
    def map(self, call: Call) -> Any:
        return map_pages.page_of(self.config["SETTINGS"].map).answer(call.headers)


def _serving(name: str, page: Page) -> Any:
    """An entrypoint that answers with a file of the map."""
    media_type = page.media_type.partition(";")[0]

    @http("GET", f"/map/{name}", summary="A file of the map", documented=False, responses=(Response(None, media_type),))
    def serve(self: MapSite, call: Call) -> Any:
        return page.answer(call.headers)

    return serve


for _name, _page in map_pages.ASSETS.items():
    # A route each: a path that no file has is unknown like any other.
    setattr(MapSite, "map_" + _name.replace(".", "_"), _serving(_name, _page))
