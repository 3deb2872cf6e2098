import pytest

from shared.http_json import MalformedJSON, dump, parse


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"{",
        b"{}x",
        b'{"a": NaN}',
        b"[Infinity]",
        b"[-Infinity]",
        b'{"a": "\xff"}',
        b"\xef\xbb\xbf{}",
        '{"a": 1}'.encode("utf-16"),
        b'{"a": 1, "a": 2}',
        rb'{"a": "\ud800"}',
        rb'{"\uDFFF": 1}',
        b"[" * 100_000,
        b"1" * 10_000,
        b"{'a': 1}",
    ],
)
def test_what_is_not_json_for_everybody_is_refused(data):
    with pytest.raises(MalformedJSON):
        parse(data)


def test_a_surrogate_pair_is_one_character():
    assert parse(rb'"\ud83d\udeb2"') == "\N{BICYCLE}"


def test_text_goes_out_as_utf8():
    assert dump({"a": "é"}) == '{"a":"é"}'.encode()


def test_a_number_that_json_has_no_word_for_is_a_defect():
    with pytest.raises(ValueError, match="JSON compliant"):
        dump(float("nan"))
