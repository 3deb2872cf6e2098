"""Where the local stack of a checkout keeps its things: all under `.local/`, closed to other users."""

import os
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from infrastructure.compose import project
from infrastructure.local import files

ROOT = Path(__file__).resolve().parent.parent.parent
# sun_path holds 107 bytes, and supervisord binds `<path>.<pid>` first
LONGEST_SOCKET = 90


@dataclass(frozen=True)
class Layout:
    """The paths below `folder`."""

    folder: Path = ROOT / ".local"

    @classmethod
    def of(cls, environ: Mapping[str, str]) -> "Layout":
        """The folder BIKE_COMPANY_HOME, relative to the checkout; `.local` when that is not set."""
        return cls(ROOT / (environ.get("BIKE_COMPANY_HOME") or ".local"))

    @property
    def logs(self) -> Path:
        return self.folder / "log"

    @property
    def pids(self) -> Path:
        return self.folder / "pids"

    @property
    def postgres(self) -> Path:
        return self.folder / "postgres"

    @property
    def rabbitmq(self) -> Path:
        return self.folder / "rabbitmq"

    @property
    def environment(self) -> Path:
        """`NAME=value` lines for other tools to connect; exists while a stack runs."""
        return self.folder / "stack.env"

    @property
    def lock(self) -> Path:
        return self.folder / "stack.lock"

    @property
    def change_lock(self) -> Path:
        return self.folder / "change.lock"

    @property
    def supervisord(self) -> Path:
        """What supervisord is given, and what a command on the running stack has to know."""
        return self.folder / "supervisord"

    @property
    def programs(self) -> Path:
        """The rendered programs of the chosen services."""
        return self.supervisord / "programs.conf"

    @property
    def services_environment(self) -> Path:
        """By service, the variables that its processes get beside supervisord's own."""
        return self.supervisord / "environment.json"

    @property
    def composition(self) -> Path:
        return self.supervisord / "composition.json"

    @property
    def status_ports(self) -> Path:
        """By service, the status ports that it had last."""
        return self.supervisord / "ports.json"

    @property
    def secret(self) -> Path:
        return self.folder / "jwt_secret"

    @property
    def socket(self) -> Path:
        """Of supervisord: in a folder of the system's, closed as well, when the checkout's path is too long."""
        path = self.folder / "supervisor.sock"
        if len(os.fsencode(path)) <= LONGEST_SOCKET:
            return path
        return self._short_folder / "supervisor.sock"

    @property
    def _short_folder(self) -> Path:
        # named by the folder's inode, so that every command of this checkout finds the same
        status = self.folder.stat()
        return Path(tempfile.gettempdir()) / f"bike-{os.getuid()}-{status.st_dev:x}-{status.st_ino:x}"

    def make(self) -> None:
        """Make the folders. Raises OSError when that is not possible."""
        for path in (self.folder, self.logs, self.pids, self.supervisord):
            files.private_folder(path)
        files.private_folder(self.socket.parent)
        if self.socket.parent.stat().st_uid != os.getuid():
            raise PermissionError(f"{self.socket.parent} belongs to another user")

    def log(self, program: str) -> Path:
        return self.logs / f"{program}.log"

    def logs_of(self, program: str) -> list[Path]:
        """The logs that are there of a program's processes, which are numbered when there are several."""
        return [file for pattern in ("", "_[0-9]*") for file in sorted(self.logs.glob(f"{program}{pattern}.log"))]

    def read_environment(self) -> dict[str, str]:
        """The variables of the running stack; none when there is no stack."""
        return _read(self.environment)

    def read_running_environment(self, environ: Mapping[str, str]) -> dict[str, str]:
        """Those of the file that STACK_ENV names, else of the running stack, else of the one in containers."""
        if environ.get("STACK_ENV"):
            return _read(Path(environ["STACK_ENV"]))
        return self.read_environment() or _read(project.stack_env(self.folder, environ))

    def write_environment(self, variables: dict[str, str]) -> None:
        files.write_private(self.environment, "".join(f"{name}={value}\n" for name, value in variables.items()))


def _read(file: Path) -> dict[str, str]:
    try:
        lines = file.read_text().splitlines()
    except FileNotFoundError:
        return {}
    return dict(line.split("=", 1) for line in lines if "=" in line)
