"""The map's page and its files: its own from `static/map`, its library's from the packages that bring it."""

import html
from functools import cache
from pathlib import Path
from string import Template

from xstatic.pkg import leaflet, leaflet_markercluster

from gateway_service.map_settings import MapSettings
from gateway_service.pages import CONTENT_SECURITY_POLICY, STATIC, Page

MEDIA_TYPES = {
    ".js": "text/javascript; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".svg": "image/svg+xml",
}
FOLDER = STATIC / "map"
LIBRARY = (
    Path(leaflet.BASE_DIR) / "leaflet.js",
    Path(leaflet.BASE_DIR) / "leaflet.css",
    Path(leaflet_markercluster.BASE_DIR) / "leaflet.markercluster.js",
    Path(leaflet_markercluster.BASE_DIR) / "MarkerCluster.css",
)


def _assets() -> dict[str, Page]:
    own = sorted(file for file in FOLDER.iterdir() if file.suffix in MEDIA_TYPES)
    return {file.name: Page(file.read_bytes(), MEDIA_TYPES[file.suffix]) for file in (*own, *LIBRARY)}


ASSETS = _assets()
"""By the name under `/map/`: read once, so that no request reaches a file system."""


@cache
def page_of(settings: MapSettings) -> Page:
    """The page itself, which tells its script of the tiles."""
    text = Template((FOLDER / "map.html").read_text(encoding="utf-8"))
    body = text.substitute(tiles=html.escape(settings.tiles), attribution=html.escape(settings.attribution))
    return Page(body.encode(), "text/html; charset=utf-8", policy_of(settings), referrer_of(settings))


def policy_of(settings: MapSettings) -> str:
    """As every page's, and images of its own; those of the tiles' host too, where there is one."""
    # A tile that is not needed any more is given an empty image that is part of Leaflet.
    tiles = f" data: {settings.source}" if settings.tiles else ""
    return f"{CONTENT_SECURITY_POLICY}; img-src 'self'{tiles}"


def referrer_of(settings: MapSettings) -> str:
    """Public tile servers want to know the site that uses them, and get no more than its origin."""
    return "strict-origin-when-cross-origin" if settings.tiles else "no-referrer"
