"""The service's settings, from the environment."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from shared import config
from shared.fares import Fares
from trip_service.domain import Tariff


@dataclass(frozen=True)
class Settings:
    """What a ride costs, when a ride counts as forgotten, how long positions are kept (None: for ever)."""

    tariff: Tariff
    trip_timeout: timedelta
    position_retention: timedelta | None

    @classmethod
    def from_environment(cls, environ: Mapping[str, str]) -> "Settings":
        """Raises ConfigurationError.

        FARE_UNLOCK, FARE_PER_MINUTE: amounts; FARE_CURRENCY: ISO 4217; TRIP_TIMEOUT_HOURS: a trip without a
        position for so long is ended by the system; POSITION_RETENTION_DAYS: 0 keeps positions for ever.
        """
        fares = Fares.from_environment(environ)
        days = config.whole_number(environ, "POSITION_RETENTION_DAYS", 0, 0, 36_500)
        if 0 < days < MIN_RETENTION_DAYS:
            raise config.ConfigurationError(
                f"POSITION_RETENTION_DAYS must be 0 or at least {MIN_RETENTION_DAYS}: positions may come 30 days late."
            )
        return cls(
            tariff=Tariff(fares.unlock, fares.per_minute, fares.currency),
            trip_timeout=timedelta(hours=config.number(environ, "TRIP_TIMEOUT_HOURS", 24, 0.01, 8760)),
            position_retention=timedelta(days=days) if days else None,
        )


MIN_RETENTION_DAYS = 32


def nameko_config(environ: Mapping[str, str]) -> dict[str, Any]:
    """Additions to nameko's configuration; raises ConfigurationError.

    TRIP_DATABASE_URL: the service's PostgreSQL database; for the rest see `Settings`.
    """
    return {
        "DB_URIS": {"trip_service:Base": config.database_url(environ, "TRIP_DATABASE_URL")},
        "SETTINGS": Settings.from_environment(environ),
    }
