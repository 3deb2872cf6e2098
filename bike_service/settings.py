"""The service's settings, from the environment."""

from collections.abc import Mapping
from typing import Any

from shared import config


def nameko_config(environ: Mapping[str, str]) -> dict[str, Any]:
    """Additions to nameko's configuration; raises ConfigurationError.

    BIKE_DATABASE_URL: the service's PostgreSQL database.
    """
    return {"DB_URIS": {"bike_service:Base": config.database_url(environ, "BIKE_DATABASE_URL")}}
