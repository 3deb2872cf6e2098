"""Where a project of compose keeps its things: all under `.local/docker/<project>`, closed to other users."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from infrastructure.compose import project
from infrastructure.compose.errors import ComposeError
from infrastructure.compose.secret_files import SecretFiles
from infrastructure.local.layout import ROOT


@dataclass(frozen=True)
class Folder:
    """What the containers of one project are started from."""

    path: Path

    @classmethod
    def of(cls, environ: Mapping[str, str], local: Path = ROOT / ".local") -> "Folder":
        """That of COMPOSE_PROJECT_NAME. Raises ComposeError for a name that compose would not take."""
        if not re.fullmatch("[a-z0-9][a-z0-9_-]*", project.name(environ)):
            raise ComposeError(
                f"COMPOSE_PROJECT_NAME must be of a-z, 0-9, - and _, and begin with one of the first two, not "
                f"{project.name(environ)!r}."
            )
        return cls(project.folder(local, environ))

    @property
    def compose_file(self) -> Path:
        return self.path / "docker-compose.yml"

    @property
    def tests_file(self) -> Path:
        return self.path / "docker-compose.tests.yml"

    @property
    def mounted(self) -> Path:
        """What the compose file mounts, but for the secrets."""
        return self.path / "mounted"

    @property
    def stack_env(self) -> Path:
        """`NAME=value` lines for other tools to connect; exists while the containers run."""
        return self.path / "stack.env"

    @property
    def settings(self) -> Path:
        """Those that were given, by name."""
        return self.path / "settings.json"

    @property
    def processes(self) -> Path:
        """How many each service has, by name; exists while the containers run."""
        return self.path / "processes.json"

    @property
    def secrets(self) -> SecretFiles:
        return SecretFiles(self.path / "secrets")
