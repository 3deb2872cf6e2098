"""The compose file for a selection of services, out of its Mako template.

The template writes only what this module hands it: names of services and numbers, which `selection` has checked, and
relative paths. What an operator may choose stays a variable of compose.
"""

from dataclasses import dataclass
from pathlib import Path

from mako.lookup import TemplateLookup

from infrastructure import service_settings
from infrastructure.compose import project
from infrastructure.programs import GATEWAY
from infrastructure.selection import Selection, short
from shared.pool_sizes import max_connections

FOLDER = Path(__file__).resolve().parent.parent
TEMPLATE = "docker-compose.yml.mako"
TESTS_TEMPLATE = "docker-compose.tests.yml.mako"
# OpenTelemetry's own, for every service.
TRACE_SETTINGS = ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_TRACES_SAMPLER", "OTEL_TRACES_SAMPLER_ARG")
METRICS_PORT = 9464


@dataclass(frozen=True)
class Paths:
    """Ways from the compose file: `mounted` to `infrastructure` or a copy of what is mounted from it, and `secrets`."""

    mounted: str
    secrets: str


# Of the file that is started, in a folder with all that it names, and of the committed one.
RENDERED = Paths("./mounted", "./secrets")
COMMITTED = Paths(".", f"../.local/docker/{project.DEFAULT}/secrets")


def compose_file(selection: Selection, paths: Paths, mqtt: bool = False) -> str:
    """Text of the compose file; with `mqtt` bikes can reach the broker, if there is a gateway to judge their tokens."""
    return _render(
        TEMPLATE,
        selection=selection,
        paths=paths,
        mqtt=mqtt and GATEWAY in selection.services,
        max_connections=max_connections,
        settings=lambda service: service_settings.OF_SERVICE[service] + TRACE_SETTINGS,
        token_settings=[name for name in service_settings.OF_SERVICE[GATEWAY] if name.startswith("JWT_")],
        secrets=secret_names(selection),
    )


def tests_file(root: str) -> str:
    """Text of the file that adds the container of the tests; `root` is the way to the root of the repository."""
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
