from types import SimpleNamespace
from typing import Any

import pytest

from bike_service.domain import Status, Viewer, changes, refusal_to_change, refusal_to_check_out, refusal_to_retire

BIKE, RIDER = "0b6c1f2e-9d3a-4c57-8f10-a1b2c3d4e5f6", "anna"


def test_the_statuses_are_those_of_the_contract() -> None:
    assert [str(status) for status in Status] == ["available", "reserved", "in_use", "out_of_service", "retired"]


@pytest.mark.parametrize(
    ("status", "check_out", "change", "retire"),
    [
        ("available", None, None, None),
        ("reserved", "The bike is reserved.", None, None),
        ("in_use", "The bike is in use.", "The bike is in use.", "The bike is in use."),
        ("out_of_service", "The bike is out of service.", None, None),
        ("retired", "The bike is retired.", "The bike is retired.", None),
    ],
)
def test_what_each_status_forbids(status: str, check_out: str | None, change: str | None, retire: str | None) -> None:
    for form in (status, Status(status)):
        assert refusal_to_check_out(form) == check_out
        assert refusal_to_change(form) == change
        assert refusal_to_retire(form) == retire


@pytest.mark.parametrize("status", [status for status in Status if status != Status.IN_USE])
@pytest.mark.parametrize("role", [None, "anonymous", "rider", "vehicle", "operator"])
def test_everybody_sees_where_a_bike_stands_that_nobody_rides(role: str | None, status: str) -> None:
    assert Viewer(role, "somebody").sees_location(BIKE, status, None)


@pytest.mark.parametrize(
    ("viewer", "sees"),
    [
        (Viewer(), True),
        (Viewer("operator", "olga"), True),
        (Viewer("operator"), True),
        (Viewer("rider", RIDER), True),
        (Viewer("rider", "bert"), False),
        (Viewer("rider", ""), False),
        (Viewer("rider", BIKE), False),
        (Viewer("rider", RIDER.upper()), False),
        (Viewer("rider"), False),
        (Viewer("vehicle", BIKE), True),
        (Viewer("vehicle", "another bike"), False),
        (Viewer("vehicle", RIDER), False),
        (Viewer("vehicle"), False),
        (Viewer("anonymous"), False),
        (Viewer("anonymous", RIDER), False),
        (Viewer("anonymous", BIKE), False),
        (Viewer("", RIDER), False),
        (Viewer("Operator", "olga"), False),
    ],
)
def test_who_sees_where_a_rider_is(viewer: Viewer, sees: bool) -> None:
    assert viewer.sees_location(BIKE, "in_use", RIDER) is sees


def test_a_viewer_without_a_subject_is_not_the_rider_nobody_knows() -> None:
    assert not Viewer("rider").sees_location(BIKE, "in_use", None)


@pytest.mark.parametrize(("role", "sees_all"), [(None, True), ("operator", True), ("rider", False), ("vehicle", False)])
def test_operators_and_trusted_callers_see_all(role: str | None, sees_all: bool) -> None:
    assert Viewer(role, RIDER).sees_all is sees_all


@pytest.mark.parametrize(
    ("wanted", "differs"),
    [
        ({}, {}),
        ({"name": "A"}, {}),
        ({"name": "B"}, {"name": "B"}),
        ({"name": "A", "status": "out_of_service"}, {"status": "out_of_service"}),
        ({"name": "B", "status": "available"}, {"name": "B"}),
    ],
)
def test_only_what_differs_is_a_change(wanted: dict[str, Any], differs: dict[str, Any]) -> None:
    assert changes(wanted, SimpleNamespace(name="A", status=Status.AVAILABLE)) == differs
