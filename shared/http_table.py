"""From a request to its entrypoint by looking it up, where werkzeug tries rule by rule: 2 µs instead of 30.

What is not found here (an unknown address, another method, HEAD) is werkzeug's to judge, which knows what to answer.
So this takes only what werkzeug would have matched, and alike: tests/unit/test_http_table.py. Measured: 8 % of a
request that goes no further than the gateway (docs/performance.md).
"""

from collections.abc import Iterable
from typing import Any

from shared.http_route import PATH_PARAMETER, Route

Found = tuple[Any, dict[str, str]]
"""An entrypoint, and the values of its path's parameters."""


class RouteTable:
    """The entrypoints by method and path; each has a `route`."""

    def __init__(self, entrypoints: Iterable[Any]) -> None:
        self._literal: dict[tuple[str, str], Any] = {}
        # By the number of a path's segments: where its one parameter stands, and the entrypoints by what is around it.
        self._with_one: dict[int, dict[int, dict[tuple[str, ...], tuple[Any, str]]]] = {}
        for entrypoint in entrypoints:
            self._add(entrypoint, entrypoint.route)

    def _add(self, entrypoint: Any, route: Route) -> None:
        if not route.parameters:
            self._literal[route.method, route.path] = entrypoint
        elif len(route.parameters) == 1:
            segments = route.path.split("/")
            place = next(index for index, segment in enumerate(segments) if PATH_PARAMETER.fullmatch(segment))
            around = (route.method, *segments[:place], *segments[place + 1 :])
            by_place = self._with_one.setdefault(len(segments), {})
            by_place.setdefault(place, {})[around] = (entrypoint, route.parameters[0])

    def find(self, method: str, path: str) -> Found | None:
        """What answers `method` at `path` (decoded); None when it takes a closer look."""
        literal = self._literal.get((method, path))
        if literal is not None:
            return literal, {}
        segments = path.split("/")
        for place, table in self._with_one.get(len(segments), {}).items():
            found = table.get((method, *segments[:place], *segments[place + 1 :]))
            if found is not None and segments[place]:
                return found[0], {found[1]: segments[place]}
        return None
