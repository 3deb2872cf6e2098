"""The table finds what werkzeug would match, and nothing else."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from werkzeug.exceptions import HTTPException
from werkzeug.routing import Map

from shared.http_table import RouteTable
from tests.unit.gateway_app import BIKE_ID, CONTAINER

ENTRYPOINTS = list(CONTAINER.server._providers)
TABLE = RouteTable(ENTRYPOINTS)


def _rules():
    for entrypoint in ENTRYPOINTS:
        rule = entrypoint.route.rule()
        rule.endpoint = entrypoint
        yield rule


ADAPTER = Map(list(_rules()), merge_slashes=False, redirect_defaults=False).bind("gateway")
segment = st.sampled_from(["", "v1", "bikes", "trips", "positions", "end", "route", "batch", "docs", BIKE_ID, " ", "."])
paths = st.lists(segment | st.text(max_size=3), max_size=6).map(lambda segments: "/" + "/".join(segments))
methods = st.sampled_from(["GET", "POST", "PATCH", "DELETE", "HEAD", "OPTIONS", "get", "PUT"])


def by_werkzeug(method: str, path: str):
    try:
        return ADAPTER.match(path, method)
    except HTTPException:
        return None


@given(methods, paths)
def test_what_is_found_is_what_werkzeug_finds(method, path):
    found = TABLE.find(method, path)
    if found is not None:
        assert found == by_werkzeug(method, path)


@pytest.mark.parametrize("entrypoint", ENTRYPOINTS, ids=lambda each: each.method_name)
def test_every_route_is_found(entrypoint):
    route = entrypoint.route
    path = "/".join(BIKE_ID if step.startswith("{") else step for step in route.path.split("/"))
    found = TABLE.find(route.method, path)
    assert found is not None
    assert found[0] is entrypoint
    assert found == by_werkzeug(route.method, path)
    assert TABLE.find("PUT", path) is None
    assert TABLE.find(route.method, path + "/") is None or path == "/"
