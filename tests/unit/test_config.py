from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared import config
from shared.config import ConfigurationError

NAME = "SETTING"


def refusal(read: Callable[..., Any], value: str | None, *arguments: Any) -> str:
    with pytest.raises(ConfigurationError) as refused:
        read({} if value is None else {NAME: value}, NAME, *arguments)
    message = str(refused.value)
    assert message.startswith(NAME)
    assert "\n" not in message
    return message


@pytest.mark.parametrize(
    ("environ", "default", "value"),
    [
        ({NAME: "given"}, "default", "given"),
        ({NAME: " given\n"}, "default", "given"),
        ({NAME: ""}, "default", "default"),
        ({NAME: "  "}, "default", "default"),
        ({}, "default", "default"),
        ({}, "", ""),
    ],
)
def test_a_blank_setting_counts_as_not_set(environ: dict[str, str], default: str, value: str) -> None:
    assert config.text(environ, NAME, default) == value


@pytest.mark.parametrize("value", [None, "", " \t"])
def test_a_setting_without_a_default_must_be_set(value: str | None) -> None:
    assert refusal(config.text, value) == "SETTING is not set."


@pytest.mark.parametrize(("value", "number"), [("0", 0), ("10", 10), (" 2.5 ", 2.5), ("1e1", 10), (None, 7)])
def test_a_number_within_its_limits(value: str | None, number: float) -> None:
    assert config.number({} if value is None else {NAME: value}, NAME, 7, 0, 10) == number


@pytest.mark.parametrize(
    "value", ["ten", "-0.1", "10.1", "nan", "inf", "-inf", "1e400", "0x1", "1,5", "9" * 5000, "1\x00"]
)
def test_what_is_no_number_within_the_limits_is_refused(value: str) -> None:
    assert "must be a number from 0 to 10, not" in refusal(config.number, value, 7, 0, 10)


@pytest.mark.parametrize(("value", "number"), [("1", 1), ("2.0", 2), ("1e1", 10)])
def test_a_whole_number(value: str, number: int) -> None:
    whole = config.whole_number({NAME: value}, NAME, 5, 1, 10)
    assert (whole, type(whole)) == (number, int)


def test_a_fraction_is_no_whole_number() -> None:
    assert refusal(config.whole_number, "2.5", 5, 1, 10) == "SETTING must be a whole number, not 2.5."
    assert "from 1 to 10" in refusal(config.whole_number, "inf", 5, 1, 10)


@pytest.mark.parametrize(
    ("value", "amount"),
    [("1", "1.00"), ("0", "0.00"), ("0.2", "0.20"), ("3.200", "3.20"), ("1e2", "100.00"), ("999999.99", "999999.99")],
)
def test_money_has_two_decimals(value: str, amount: str) -> None:
    assert str(config.money({NAME: value}, NAME, "1.00")) == amount


@pytest.mark.parametrize(
    "value",
    [
        "free",
        "-0.01",
        "0.001",
        "1.005",
        "1e6",
        "1e400",
        "1e-400",
        "NaN",
        "sNaN",
        "Infinity",
        "-Infinity",
        "1,50",
        "€1",
        "1 EUR",
    ],
)
def test_what_is_no_amount_of_money_is_refused(value: str) -> None:
    assert refusal(config.money, value, "1.00") == f"SETTING must be an amount of money such as 1.00, not {value!r}."


@given(st.decimals(0, 999_999, places=2))
def test_an_amount_stays_exact(amount: Decimal) -> None:
    read = config.money({NAME: str(amount)}, NAME, "1.00")
    assert (read, read.as_tuple().exponent) == (amount, -2)


@pytest.mark.parametrize(
    ("given_url", "for_sqlalchemy"),
    [
        ("postgresql://bike:s3cret@127.0.0.1:5432/bikes", "postgresql+psycopg2://bike:s3cret@127.0.0.1:5432/bikes"),
        ("postgres://db/bikes", "postgresql+psycopg2://db/bikes"),
        ("postgresql+psycopg2://db/bikes", "postgresql+psycopg2://db/bikes"),
        (
            "postgresql://u:a%3A%2F%2Fb@db/bikes?sslmode=require",
            "postgresql+psycopg2://u:a%3A%2F%2Fb@db/bikes?sslmode=require",
        ),
    ],
)
def test_a_database_url_is_handed_on_for_sqlalchemy(given_url: str, for_sqlalchemy: str) -> None:
    assert config.database_url({NAME: given_url}, NAME) == for_sqlalchemy


@pytest.mark.parametrize("value", ["amqp://guest:guest@127.0.0.1:5672/", "amqps://broker/vhost", "pyamqp://broker"])
def test_the_broker_s_uri_is_taken_as_it_is(value: str) -> None:
    assert config.amqp_uri({"AMQP_URI": value}) == value


@pytest.mark.parametrize(
    "value",
    [
        "db",
        "bike:s3cret@db:5432/bikes",
        "mysql://bike:s3cret@db/bikes",
        "postgresql:bike:s3cret@db/bikes",
        "postgresql://bike:s3cret@:5432/bikes",
        "postgresql:///bikes?password=s3cret",
        "postgresql://bike:s3cret@db:99999/bikes",
        "postgresql://bike:s3cret@db:0/bikes",
        "postgresql://bike:s3cret@db:port/bikes",
        "postgresql://bike:s3cret@[::1/bikes",
    ],
)
def test_a_url_that_cannot_work_is_refused_without_showing_it(value: str) -> None:
    message = refusal(config.database_url, value)
    assert message.startswith("SETTING must be a URL that starts with postgresql://")
    assert "s3cret" not in message


def test_a_url_must_be_set() -> None:
    assert refusal(config.database_url, None) == "SETTING is not set."
    with pytest.raises(ConfigurationError, match=r"^AMQP_URI is not set\.$"):
        config.amqp_uri({})


def test_a_secret_comes_from_the_environment_or_a_file(tmp_path: Path) -> None:
    file = tmp_path / "secret"
    file.write_text("s3cret\n")
    assert config.secret({NAME: " s3cret "}, NAME) == "s3cret"
    assert config.secret({f"{NAME}_FILE": str(file)}, NAME) == "s3cret"
    assert config.secret({NAME: "", f"{NAME}_FILE": " "}, NAME) == ""
    assert config.amqp_uri({"AMQP_URI_FILE": written(file, "amqp://u:p@broker/")}) == "amqp://u:p@broker/"
    url = config.database_url({"DB_FILE": written(file, "postgresql://u:p@db/bikes")}, "DB")
    assert url == "postgresql+psycopg2://u:p@db/bikes"


def written(file: Path, text: str) -> str:
    file.write_text(text)
    return str(file)


def test_a_secret_file_that_is_of_no_use_is_named(tmp_path: Path) -> None:
    empty, binary = tmp_path / "empty", tmp_path / "binary"
    empty.write_text("\n")
    binary.write_bytes(b"\xff\xfe")
    wrong = {
        "cannot be read: No such file": {f"{NAME}_FILE": str(tmp_path / "none")},
        "cannot be read: Is a directory": {f"{NAME}_FILE": str(tmp_path)},
        "cannot be read: it is no text": {f"{NAME}_FILE": str(binary)},
        "is empty": {f"{NAME}_FILE": str(empty)},
        "are both set": {NAME: "s3cret", f"{NAME}_FILE": str(empty)},
    }
    for says, environ in wrong.items():
        with pytest.raises(ConfigurationError, match=rf"^SETTING.*{says}") as refused:
            config.secret(environ, NAME)
        assert "s3cret" not in str(refused.value)


@pytest.mark.parametrize(("value", "expected"), [("true", True), (" False ", False), ("", True)])
def test_a_flag(value: str, expected: bool) -> None:
    assert config.flag({NAME: value}, NAME, True) is expected


def test_what_is_no_flag_is_refused() -> None:
    assert refusal(config.flag, "1", False) == "SETTING must be true or false, not '1'."
