from datetime import timedelta
from decimal import Decimal

import pytest

from shared.config import ConfigurationError
from trip_service.domain import Tariff
from trip_service.settings import Settings, nameko_config

DATABASE = {"TRIP_DATABASE_URL": "postgresql://trip:s3cret@127.0.0.1/trips"}


def test_what_counts_when_nothing_is_set() -> None:
    assert Settings.from_environment({}) == Settings(
        Tariff(Decimal("1.00"), Decimal("0.20"), "EUR"), timedelta(hours=24), None
    )


def test_everything_can_be_set() -> None:
    environ = {
        "FARE_UNLOCK": "0",
        "FARE_PER_MINUTE": "0.5",
        "FARE_CURRENCY": "CHF",
        "TRIP_TIMEOUT_HOURS": "1.5",
        "POSITION_RETENTION_DAYS": "32",
    }
    assert Settings.from_environment(environ) == Settings(
        Tariff(Decimal("0.00"), Decimal("0.50"), "CHF"), timedelta(minutes=90), timedelta(days=32)
    )


def test_no_retention_keeps_positions_for_ever() -> None:
    assert Settings.from_environment({"POSITION_RETENTION_DAYS": "0"}).position_retention is None


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("FARE_UNLOCK", "-1"),
        ("FARE_UNLOCK", "free"),
        ("FARE_PER_MINUTE", "0.001"),
        ("FARE_PER_MINUTE", "NaN"),
        ("FARE_CURRENCY", "eur"),
        ("FARE_CURRENCY", "EURO"),
        ("FARE_CURRENCY", "€"),
        ("FARE_CURRENCY", "ÄÖÜ"),
        ("TRIP_TIMEOUT_HOURS", "0"),
        ("TRIP_TIMEOUT_HOURS", "-1"),
        ("TRIP_TIMEOUT_HOURS", "inf"),
        ("TRIP_TIMEOUT_HOURS", "a day"),
        ("POSITION_RETENTION_DAYS", "1"),
        ("POSITION_RETENTION_DAYS", "31"),
        ("POSITION_RETENTION_DAYS", "32.5"),
        ("POSITION_RETENTION_DAYS", "-1"),
        ("POSITION_RETENTION_DAYS", "99999999"),
    ],
)
def test_a_wrong_setting_is_named(name: str, value: str) -> None:
    with pytest.raises(ConfigurationError, match=f"^{name} must be "):
        nameko_config({**DATABASE, name: value})


def test_the_service_is_configured_from_its_environment() -> None:
    assert nameko_config({**DATABASE, "FARE_CURRENCY": "SEK"}) == {
        "DB_URIS": {"trip_service:Base": "postgresql+psycopg2://trip:s3cret@127.0.0.1/trips"},
        "SETTINGS": Settings.from_environment({"FARE_CURRENCY": "SEK"}),
    }


def test_the_database_must_be_named() -> None:
    with pytest.raises(ConfigurationError, match=r"^TRIP_DATABASE_URL is not set\.$"):
        nameko_config({})
