"""The compose file for a selection of services, out of its Mako template.

The template writes only what this module hands it: names of services and numbers, which `selection` has checked, and
a relative path. What an operator may choose stays a variable of compose.
"""

from pathlib import Path

from mako.lookup import TemplateLookup

from infrastructure.selection import Selection, short
from shared.pool_sizes import max_connections

FOLDER = Path(__file__).resolve().parent.parent
TEMPLATE = "docker-compose.yml.mako"
TESTS_TEMPLATE = "docker-compose.tests.yml.mako"
# What an operator may set for each service, by variables of the same names; empty means the service's default.
SETTINGS = {
    "bike_service": ("MAX_WORKERS",),
    "trip_service": (
        "FARE_CURRENCY", "FARE_PER_MINUTE", "FARE_UNLOCK", "MAX_WORKERS", "POSITION_RETENTION_DAYS",
        "TRIP_TIMEOUT_HOURS",
    ),
    "gateway_service": (
        "CORS_ORIGINS", "JWT_AUDIENCE", "JWT_ISSUER", "JWT_JWKS", "RATE_LIMIT", "RPC_TIMEOUT", "TRUSTED_PROXIES",
    ),
}  # fmt: skip
# OpenTelemetry's own, for every service.
TRACE_SETTINGS = ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_TRACES_SAMPLER", "OTEL_TRACES_SAMPLER_ARG")
METRICS_PORT = 9464


def compose_file(selection: Selection, root: str) -> str:
    """Text of the compose file; `root` is the way from its folder to the root of the repository, such as `..`."""
    return _render(
        TEMPLATE,
        selection=selection,
        root=root,
        max_connections=max_connections,
        settings=lambda service: SETTINGS[service] + TRACE_SETTINGS,
        secrets=secret_names(selection),
    )


def tests_file(root: str) -> str:
    """Text of the file that adds the container of the tests."""
    return _render(TESTS_TEMPLATE, root=root)


def gateway_targets(selection: Selection) -> str:
    """Where Prometheus finds the gateway's processes, which are in one container: a file of its `file_sd_configs`."""
    processes = selection.processes.get("gateway_service", 0)
    targets = ", ".join(f"'gateway_service:{METRICS_PORT + number}'" for number in range(processes))
    return f"# Rendered by `python -m infrastructure.compose`: a port for each process.\n- targets: [{targets}]\n"


def secret_names(selection: Selection) -> list[str]:
    """The files of `secret_files` that the compose file mounts."""
    names = ["rabbitmq_definitions.json", *(f"{service}_amqp_uri" for service in selection.services)]
    for service in map(short, selection.databases):
        names += [f"{service}_postgres_password", f"{service}_database_password", f"{service}_database_url"]
    return [*names, *["jwt_secret"] * ("gateway_service" in selection.services), "grafana_password"]


def _render(template: str, **values: object) -> str:
    lookup = TemplateLookup([str(FOLDER)], strict_undefined=True)
    text: str = lookup.get_template(template).render_unicode(**values)
    return text
