"""The map's routes: its page and files, what the page may load, and the setting of tiles."""

import re
from html.parser import HTMLParser
from typing import Any

import pytest

from gateway_service import map_pages
from gateway_service.map_settings import MapSettings
from shared.config import ConfigurationError
from tests.unit.gateway_app import gateway

PATHS = ("/map", *(f"/map/{name}" for name in map_pages.ASSETS))
MEDIA_TYPES = {"js": "text/javascript", "css": "text/css", "svg": "image/svg+xml"}


def settings(**environ: str) -> MapSettings:
    return MapSettings.from_environment(environ)


def policy(**environ: str) -> dict[str, str]:
    """The page's Content-Security-Policy, by directive."""
    text = map_pages.page_of(settings(**environ)).headers["Content-Security-Policy"]
    return dict(part.strip().split(" ", 1) for part in text.split(";"))


class Tags(HTMLParser):
    """Every start tag of a page, with its attributes, and the text inside scripts and styles."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.inline = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        if self.cdata_elem:
            self.inline += data


@pytest.mark.parametrize("path", PATHS)
def test_each_file_is_served_and_then_by_its_etag(path):
    client = gateway()
    response = client.get(path)
    assert response.status_code == 200
    assert response.data
    assert response.mimetype == MEDIA_TYPES.get(path.rsplit(".", 1)[-1], "text/html")
    assert response.headers["Cache-Control"] == "no-cache"
    assert response.headers["Content-Security-Policy"].startswith("default-src 'none'; script-src 'self'")
    again = client.get(path, headers={"If-None-Match": response.headers["ETag"]})
    assert (again.status_code, again.data) == (304, b"")
    assert client.get(path, headers={"If-None-Match": '"another"'}).status_code == 200


@pytest.mark.parametrize(
    "path",
    [
        "/map/",
        "/map/map.html",
        "/map/none.js",
        "/map/../docs.html",
        "/map/..%2fdocs.html",
        "/map/%2e%2e/settings.py",
        "/map/leaflet.js/",
        "/map//leaflet.js",
        "/map/LEAFLET.JS",
        "/map/leaflet.js%00",
        "/map/leaflet.js.map",
    ],
)
def test_what_is_no_file_of_the_map_is_unknown(path):
    response = gateway().get(path)
    assert response.status_code == 404
    assert response.mimetype == "application/problem+json"


def test_nothing_is_inline_and_nothing_from_elsewhere():
    page = Tags(gateway().get("/map").text)
    assert page.inline.strip() == ""
    for tag, attributes in page.tags:
        assert "style" not in attributes, tag
        assert not [name for name in attributes if name.startswith("on")], tag
        for name in ("src", "href"):
            assert (attributes.get(name) or "/").startswith("/"), attributes


def test_whatever_a_file_names_is_a_file():
    for name, page in map_pages.ASSETS.items():
        if name.endswith(".js") and not name.startswith("leaflet"):
            for imported in re.findall(r'from "\./([^"]+)"', page.body.decode()):
                assert imported in map_pages.ASSETS
    for _, attributes in Tags(gateway().get("/map").text).tags:
        for reference in filter(None, (attributes.get("src"), attributes.get("href"))):
            assert reference in (*PATHS, "/v1/bikes")


def test_without_tiles_only_images_of_the_page_s_own():
    assert policy() == {
        "default-src": "'none'",
        "script-src": "'self'",
        "style-src": "'self'",
        "connect-src": "'self'",
        "base-uri": "'none'",
        "form-action": "'none'",
        "frame-ancestors": "'none'",
        "img-src": "'self'",
    }
    assert map_pages.page_of(settings()).headers["Referrer-Policy"] == "no-referrer"


@pytest.mark.parametrize(
    ("tiles", "source"),
    [
        ("https://tiles.example.org/{z}/{x}/{y}.png", "https://tiles.example.org"),
        ("https://{s}.tiles.example.org:8443/{z}/{x}/{y}@2x.png?key=1", "https://*.tiles.example.org:8443"),
        ("/tiles/{z}/{x}/{y}.png", "'self'"),
    ],
)
def test_with_tiles_images_of_their_host_too(tiles, source):
    assert policy(MAP_TILES=tiles)["img-src"] == f"'self' data: {source}"
    page = map_pages.page_of(settings(MAP_TILES=tiles, MAP_ATTRIBUTION='<a href="/x">"Us"</a>'))
    [attributes] = [given for _, given in Tags(page.body.decode()).tags if given.get("id") == "map"]
    assert attributes["data-tiles"] == tiles
    assert attributes["data-attribution"] == '<a href="/x">"Us"</a>'


@pytest.mark.parametrize(
    "tiles",
    [
        "tiles.example.org/{z}/{x}/{y}.png",
        "https://tiles.example.org/{z}/{x}.png",
        "https://tiles.example.org; script-src */{z}/{x}/{y}",
        "https://tiles.example.org/{z}/{x}/{y}.png; script-src *",
        "https://a b/{z}/{x}/{y}",
        "javascript:/{z}/{x}/{y}",
        "//tiles.example.org/{z}/{x}/{y}",
        "https://{s}/{z}/{x}/{y}",
    ],
)
def test_a_template_that_is_none_is_refused_by_its_name(tiles):
    with pytest.raises(ConfigurationError, match=r"^MAP_TILES must be "):
        settings(MAP_TILES=tiles)
