"""The settings that `make docker-run` was given: they hold at the next one too, until they are given anew.

`NAME=` (empty) takes one back. SERVICES and PROCESSES are none of them: what runs stays as it is by another rule.
"""

import re
from collections.abc import Mapping

from infrastructure import service_settings
from infrastructure.compose import rendering

NAMES = (
    *sorted(service_settings.NAMES), *rendering.TRACE_SETTINGS, "GATEWAY_PORT", "MQTT_PORT", "PROMETHEUS_PORT",
    "GRAFANA_PORT", "OFFLINE", "BUILD", "BASE_IMAGE", "IMAGE_PREFIX", "IMAGE_TAG", "RABBITMQ_IMAGE", "POSTGRES_IMAGE",
    "PROMETHEUS_IMAGE", "GRAFANA_IMAGE",
)  # fmt: skip
YES, NO = ("1", "yes", "true"), ("0", "no", "false")


def merged(kept: Mapping[str, str], environ: Mapping[str, str]) -> dict[str, str]:
    """The settings that hold now: those that were kept, and what `environ` gives or, empty, takes back."""
    found = {name: environ.get(name, kept.get(name, "")).strip() for name in NAMES}
    return {name: value for name, value in found.items() if value}


def described(settings: Mapping[str, str]) -> str:
    """As `NAME=value NAME=value`, without what stands before the @ of a URL."""
    return " ".join(f"{name}={re.sub(r'//[^/@]*@', '//***@', value)}" for name, value in settings.items())
