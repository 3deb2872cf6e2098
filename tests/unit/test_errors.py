import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from nameko.exceptions import RemoteError, deserialize, serialize

from shared.errors import Conflict, DeadlineExceeded, DomainError, Invalid, NotFound, Unavailable

CLASSES = [Invalid, NotFound, Conflict, Unavailable, DeadlineExceeded]
plain = st.text(st.sampled_from("aé🚲 .\x00\ud800"), max_size=5)


def over_rpc(error: Exception) -> Any:
    """The error as a caller gets it: serialised by Nameko, as JSON on the wire, and rebuilt."""
    return deserialize(json.loads(json.dumps(serialize(error))))


@pytest.mark.parametrize("kind", CLASSES)
def test_each_error_arrives_as_its_own_class(kind: type[DomainError]) -> None:
    errors = {"location.coordinates": ["Must be two numbers.", "No."], "positions.3.recorded_at": ["Too old."]}
    arrived = over_rpc(kind("It cannot be.", {"errors": errors, "retry_after": 2, "replayed": True}))
    assert type(arrived) is kind
    assert str(arrived) == arrived.detail == "It cannot be."
    assert (arrived.errors, arrived.retry_after, arrived.replayed) == (errors, 2, True)


@pytest.mark.parametrize("kind", CLASSES)
def test_an_error_without_additions_has_none_after_the_journey_either(kind: type[DomainError]) -> None:
    for error in (kind(), over_rpc(kind()), over_rpc(over_rpc(kind()))):
        assert (str(error), error.errors, error.retry_after, error.replayed) == ("", {}, None, False)


@pytest.mark.parametrize(("replayed", "expected"), [(True, True), (False, False), (None, False)])
def test_replayed_is_told_by_its_value_though_nameko_makes_text_of_it(replayed: Any, expected: bool) -> None:
    error = Conflict("Taken.", {"replayed": replayed})
    assert error.replayed is over_rpc(error).replayed is expected


@given(plain, st.dictionaries(plain, st.lists(plain, max_size=1), max_size=2), st.none() | st.integers(0, 10**6))
def test_nothing_is_lost_on_the_way(detail: str, errors: dict[str, list[str]], retry_after: int | None) -> None:
    extra = {"errors": errors} | ({} if retry_after is None else {"retry_after": retry_after})
    arrived = over_rpc(over_rpc(Invalid(detail, extra)))
    assert (arrived.detail, arrived.errors, arrived.retry_after) == (detail, errors, retry_after)


def test_any_other_error_arrives_as_a_defect() -> None:
    arrived = over_rpc(KeyError("secret"))
    assert isinstance(arrived, RemoteError)
    assert not isinstance(arrived, DomainError)


def test_the_additions_are_the_error_s_own() -> None:
    extra = {"retry_after": 1}
    error = Conflict("Taken.", extra)
    extra["retry_after"] = 9
    error.errors["name"] = ["changed"]
    assert (error.retry_after, error.errors) == (1, {})
