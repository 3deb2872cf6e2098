"""The settings that the local stack takes from the environment, checked before anything is started."""

import secrets
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from infrastructure import service_settings
from infrastructure.local import files, ports
from infrastructure.local.errors import LocalError
from infrastructure.programs import GATEWAY
from infrastructure.selection import short
from shared import config, jwt

DEFAULT_ADDRESS = "127.0.0.1:8000"


@dataclass(frozen=True)
class Settings:
    """What is None is to be provided by a private part."""

    host: str
    port: int
    amqp_uri: str | None
    bike_database_url: str | None
    trip_database_url: str | None
    jwt_secret: str | None

    @property
    def gateway_url(self) -> str:
        """Where a client on this machine finds the gateway."""
        host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(self.host, self.host)  # noqa: S104 (compared, not bound)
        return f"http://[{host}]:{self.port}" if ":" in host else f"http://{host}:{self.port}"

    @property
    def gateway_address(self) -> str:
        """Where the gateway listens, as it reads it."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    @property
    def private_rabbitmq(self) -> bool:
        return self.amqp_uri is None

    def database_url(self, service: str) -> str | None:
        return {"bike_service": self.bike_database_url, "trip_service": self.trip_database_url}[service]


def read(environ: Mapping[str, str]) -> Settings:
    """Raises LocalError, naming the variable, for the first that is malformed; an empty one counts as not set."""
    host, port = address(environ.get("GATEWAY_ADDRESS") or DEFAULT_ADDRESS)
    given = {name: value for name, value in environ.items() if value}
    try:
        if "AMQP_URI" in given:
            config.amqp_uri(given)
        for name in ("BIKE_DATABASE_URL", "TRIP_DATABASE_URL"):
            if name in given:
                config.database_url(given, name)
    except config.ConfigurationError as error:
        raise LocalError(str(error)) from None
    return Settings(
        host, port, given.get("AMQP_URI"), given.get("BIKE_DATABASE_URL"), given.get("TRIP_DATABASE_URL"),
        checked_secret(given["JWT_SECRET"], "JWT_SECRET") if "JWT_SECRET" in given else None,
    )  # fmt: skip


def database_variable(service: str) -> str:
    """The variable that holds the URL of the service's database."""
    return f"{short(service).upper()}_DATABASE_URL"


def of_services(environ: Mapping[str, str]) -> dict[str, str]:
    """What the services read themselves, and OpenTelemetry's, as far as it is set."""
    names = service_settings.NAMES
    return {name: value for name, value in environ.items() if name in names or name.startswith("OTEL_")}


def merged(running: Settings, services: Iterable[str], environ: Mapping[str, str]) -> Settings:
    """The settings of a running stack, and what `environ` gives for services beside `services`, which run already.

    Raises LocalError, naming the variable, for one that would be another than what runs has.
    """
    given, services = read(environ), set(services)
    fixed = {"AMQP_URI": (given.amqp_uri, running.amqp_uri)}
    for name in services & {"bike_service", "trip_service"}:
        fixed[database_variable(name)] = (given.database_url(name), running.database_url(name))
    if GATEWAY in services:
        wanted_address = given.gateway_address if environ.get("GATEWAY_ADDRESS") else None
        fixed["GATEWAY_ADDRESS"] = (wanted_address, running.gateway_address)
        fixed["JWT_SECRET"] = (given.jwt_secret, running.jwt_secret)
    for name, (new, old) in fixed.items():
        if new is not None and new != old:
            raise LocalError(f"{name} is another than the running stack has; make down stops that one.")
    address_given = bool(environ.get("GATEWAY_ADDRESS"))
    return replace(
        running,
        host=given.host if address_given else running.host,
        port=given.port if address_given else running.port,
        bike_database_url=given.bike_database_url or running.bike_database_url,
        trip_database_url=given.trip_database_url or running.trip_database_url,
        jwt_secret=given.jwt_secret or running.jwt_secret,
    )


def address(text: str) -> tuple[str, int]:
    """`host:port`, an IPv6 host in brackets. Raises LocalError."""
    host, colon, port = text.strip().rpartition(":")
    if host.startswith("[") and host.endswith("]"):
        host = host[1:-1]
    elif ":" in host:
        host = ""
    if not (colon and host and port.isascii() and port.isdigit() and 1 <= int(port) <= 65535):
        raise LocalError(f"GATEWAY_ADDRESS must be host:port, such as {DEFAULT_ADDRESS}, not {text!r}.")
    return host, int(port)


def check_address_free(settings: Settings) -> None:
    """Raises LocalError, naming who holds the port where that can be seen, when the gateway could not listen there."""
    try:
        if ports.is_free(settings.port, settings.host):
            return
    except OSError as error:
        raise LocalError(
            f"GATEWAY_ADDRESS: cannot listen on {settings.host} port {settings.port}: {error.strerror or error}."
        ) from None
    raise LocalError(
        f"Port {settings.port} of {settings.host} is taken by {ports.holder(settings.port) or 'another program'}.\n"
        f"Stop that, or choose another address: make run GATEWAY_ADDRESS=127.0.0.1:{ports.choose()}"
    )


def checked_secret(secret: str, name: str) -> str:
    """The secret, if it can sign tokens. Raises LocalError."""
    try:
        jwt.check_secret(secret)
    except ValueError as error:
        raise LocalError(f"{name} {error} (for one: openssl rand -hex 32).") from None
    return secret


def own_secret(file: Path) -> str:
    """The checkout's own JWT secret, made when there is none."""
    if not file.exists():
        files.private_folder(file.parent)
        files.write_private(file, secrets.token_hex(32))
    return checked_secret(file.read_text().strip(), f"The secret in {file}")
