from typing import Any

import pytest

from shared.idempotency import fingerprint

BIKE = {"name": "A", "location": (8.5, 47.4), "battery_percent": None}


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (("add", BIKE), ("add", dict(reversed(BIKE.items())))),
        (("add", BIKE), ("add", {**BIKE, "location": [8.5, 47.4]})),
        (("add", {"name": "\ud800"}), ("add", {"name": "\ud800"})),
    ],
)
def test_the_same_request_has_the_same_fingerprint(first: tuple[Any, ...], second: tuple[Any, ...]) -> None:
    assert fingerprint(*first) == fingerprint(*second)


@pytest.mark.parametrize(
    "other",
    [
        ("start", BIKE),
        ("add", {**BIKE, "name": "B"}),
        ("add", {**BIKE, "name": "a"}),
        ("add", {**BIKE, "name": "A "}),
        ("add", {**BIKE, "location": (47.4, 8.5)}),
        ("add", {**BIKE, "battery_percent": 0}),
        ("add", {"name": "A", "location": (8.5, 47.4)}),
        ("add", BIKE, None),
        ("add",),
        ("ad", "d", BIKE),
    ],
)
def test_another_request_has_another(other: tuple[Any, ...]) -> None:
    assert fingerprint(*other) != fingerprint("add", BIKE)
