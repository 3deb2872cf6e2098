"""The service's settings, from the environment."""

from collections.abc import Mapping
from typing import Any

from shared import config, gbfs_settings


def nameko_config(environ: Mapping[str, str]) -> dict[str, Any]:
    """Additions to nameko's configuration; raises ConfigurationError.

    BIKE_DATABASE_URL: the service's PostgreSQL database; GBFS_CONFIG: a file with the types of bikes.
    """
    gbfs_settings.of_environment(environ)
    return {"DB_URIS": {"bike_service:Base": config.database_url(environ, "BIKE_DATABASE_URL")}}
