"""The secrets of the containers, made on the first start and kept: one file each under `secrets` of the project.

The folder is closed to other users (0700), and so is `.local`. The files in it are readable by all (0444): compose
mounts each into just those containers that need it, where an unprivileged user of another number must read it, and
only through the closed folder could anybody else get at them.
"""

import json
import secrets
from collections.abc import Callable
from pathlib import Path

from infrastructure.broker_permissions import OPERATOR, USES
from infrastructure.compose import definitions
from infrastructure.local import files
from infrastructure.selection import WITH_DATABASE, short

VHOST = "bike_company"


class SecretFiles:
    """The files in `folder`; `make` first."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def make(self) -> None:
        """Make what is not there yet; what is there stays, since the databases were made with it."""
        files.private_folder(self.folder)
        self.folder.chmod(0o700)
        self._keep("jwt_secret", lambda: secrets.token_hex(32))
        self._keep("grafana_password", lambda: secrets.token_urlsafe(24))
        for service in WITH_DATABASE:
            for role in (f"{short(service)}_postgres_password", f"{short(service)}_database_password"):
                self._keep(role, lambda: secrets.token_urlsafe(24))
            self._write(f"{short(service)}_database_url", self.database_url(service))
        for user in (*USES, OPERATOR):
            self._keep(f"{user}_broker_password", lambda: secrets.token_urlsafe(24))
            self._write(f"{user}_amqp_uri", self.amqp_uri(user))
        self._keep_definitions()
        self._write("tests_stack.env", self._tests_environment())

    def read(self, name: str) -> str:
        """Raises OSError when there is none."""
        return (self.folder / name).read_text(encoding="utf-8").strip()

    def database_url(self, service: str) -> str:
        """Of the service's database, as its own container sees it."""
        host = f"{short(service)}_postgres"
        return f"postgresql://{service}:{self.read(f'{short(service)}_database_password')}@{host}:5432/{service}"

    def amqp_uri(self, user: str) -> str:
        """Of the broker, for a service or the operator, as a container sees it."""
        return f"amqp://{user}:{self.read(f'{user}_broker_password')}@rabbitmq:5672/{VHOST}"

    def _tests_environment(self) -> str:
        """Where a container on the networks of gateway and broker finds them."""
        return (
            "GATEWAY_URL=http://gateway_service:8000\n"
            f"AMQP_URI={self.amqp_uri(OPERATOR)}\n"
            f"JWT_SECRET={self.read('jwt_secret')}\n"
        )

    def _keep_definitions(self) -> None:
        passwords = {user: self.read(f"{user}_broker_password") for user in (*USES, OPERATOR)}
        try:
            salts = definitions.salts(json.loads(self.read("rabbitmq_definitions.json")))
        except (OSError, ValueError, KeyError):
            salts = {}
        self._write("rabbitmq_definitions.json", definitions.text(VHOST, passwords, salts))

    def _keep(self, name: str, make: Callable[[], str]) -> None:
        if not (self.folder / name).exists():
            self._write(name, make())

    def _write(self, name: str, text: str) -> None:
        path = self.folder / name
        # a file that is mounted stays the same file
        if not path.exists() or path.read_text(encoding="utf-8") != text:
            files.write_private(path, text)
        path.chmod(0o444)
