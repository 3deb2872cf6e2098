"""JSON between services is Python's, whoever reads or writes it."""

import json
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared import rpc_json

scalars = st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters())
values = st.recursive(scalars, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=20)


def same(one: Any, other: Any) -> bool:
    # NaN is no equal of itself, and 1 == 1.0 == True.
    return repr(one) == repr(other)


@given(values)
def test_what_is_written_reads_alike_by_either_reader(value: Any) -> None:
    written = rpc_json.write(value)
    expected = json.loads(json.dumps(value))
    assert same(json.loads(written), expected)
    assert same(rpc_json.read(written), expected)
    assert same(rpc_json.read(json.dumps(value).encode()), expected)


@pytest.mark.parametrize(
    "text", [b"NaN", b"[-Infinity]", b'"\\ud800"', b"1e400", b"9" * 40, b'{"a":1,"a":2}', b"-0.0", b"\xef\xbb\xbf1"]
)
def test_what_only_python_reads_is_read(text: bytes) -> None:
    assert same(rpc_json.read(text), json.loads(text))


@pytest.mark.parametrize("text", [b"", b"{", b'"\xff"', b"[1,]", b"nan"])
def test_what_is_no_json_is_a_value_error(text: bytes) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - any of its kinds
        rpc_json.read(text)


@pytest.mark.parametrize("value", [{1, 2}, {"a": object()}, {("a",): 1}])
def test_what_json_has_no_form_for_is_refused(value: Any) -> None:
    with pytest.raises(TypeError):
        rpc_json.write(value)


def test_nan_does_not_become_null() -> None:
    assert math.isnan(rpc_json.read(rpc_json.write([math.nan]))[0])
