"""The amounts of the tariff: trip_service prices by them, the gateway publishes them."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal

from shared import config


@dataclass(frozen=True)
class Fares:
    """`unlock`: a fee to begin with; `per_minute`: for each started minute; `currency`: ISO 4217."""

    unlock: Decimal
    per_minute: Decimal
    currency: str

    @classmethod
    def from_environment(cls, environ: Mapping[str, str]) -> "Fares":
        """FARE_UNLOCK, FARE_PER_MINUTE, FARE_CURRENCY; raises ConfigurationError."""
        currency = config.text(environ, "FARE_CURRENCY", "EUR")
        if not re.fullmatch("[A-Z]{3}", currency):
            raise config.ConfigurationError(f"FARE_CURRENCY must be an ISO 4217 code such as EUR, not {currency!r}.")
        return cls(
            config.money(environ, "FARE_UNLOCK", "1.00"), config.money(environ, "FARE_PER_MINUTE", "0.20"), currency
        )
