"""The containers of a checkout: rendered, built, started, waited for, stopped."""

import json
import os
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from infrastructure.compose import engine, images, rendering
from infrastructure.compose.errors import ComposeError
from infrastructure.compose.secret_files import SecretFiles
from infrastructure.local import files, loopback
from infrastructure.local.layout import ROOT
from infrastructure.selection import SERVICES, Selection

READY_LIMIT_S = 240.0
DEFAULT_PORT = "8000"
# From .local/docker to the root of the repository.
UP = "../.."


@dataclass(frozen=True)
class Folder:
    """`.local/docker`: what the containers are started from."""

    path: Path = ROOT / ".local" / "docker"

    @property
    def compose_file(self) -> Path:
        return self.path / "docker-compose.yml"

    @property
    def tests_file(self) -> Path:
        return self.path / "docker-compose.tests.yml"

    @property
    def gateway_targets(self) -> Path:
        """Where the gateway's processes answer, for Prometheus."""
        return self.path / "observability" / "targets" / "gateway_service.yml"

    @property
    def stack_env(self) -> Path:
        """`NAME=value` lines for other tools to connect; exists while the containers run."""
        return self.path / "stack.env"

    @property
    def state(self) -> Path:
        """What was chosen last: the services with their processes, and whether images are built offline."""
        return self.path / "state.json"

    @property
    def secrets(self) -> SecretFiles:
        return SecretFiles(self.path / "secrets")


class Stack:
    """The containers for the variables of `environ`; `say` tells the person at the terminal."""

    def __init__(self, folder: Folder, environ: Mapping[str, str], say: Callable[[str], None]) -> None:
        self.folder, self.say = folder, say
        files.private_folder(folder.path)
        state = files.read_json(folder.state)
        given = environ.get("OFFLINE", "")
        self.offline = given in ("1", "yes", "true") if given else bool(state.get("offline"))
        parts = images.OFFLINE if self.offline else {}
        set_by_operator = {name: value for name, value in environ.items() if value}
        self.environ = {**parts, **set_by_operator, "TESTS_USER": f"{os.getuid()}:{os.getgid()}"}
        self.builder = images.Builder(ROOT, self.environ, self.offline, say)
        self._save({**state, "offline": self.offline})

    def render(self, selection: Selection) -> None:
        """Write the secrets that are missing, and the files of compose. Raises ComposeError when it finds a fault."""
        self.folder.secrets.make()
        files.write_private(self.folder.compose_file, rendering.compose_file(selection, UP))
        files.write_private(self.folder.tests_file, rendering.tests_file(UP))
        self._write_shared(self.folder.gateway_targets, rendering.gateway_targets(selection))
        self.compose("config", "-q", quiet=True)

    def together_with_running(self, selection: Selection) -> Selection:
        """The selection, and what runs already, which must not be lost from the file."""
        known = files.read_json(self.folder.state).get("processes", {})
        running = {each.service for each in engine.containers(self.environ) if each.state == "running"}
        before = {name: number for name, number in known.items() if name in running and name in SERVICES}
        return Selection(before).including(selection) if before else selection

    def start(self, selection: Selection) -> None:
        """Start what is not running; returns once every container is healthy, and `/health` is 200 if all run."""
        self._save({"offline": self.offline, "processes": dict(selection.processes)})
        if images.without_grafana(self.environ, self.offline):
            self.say("Grafana is not among Debian's packages: it is left out (GRAFANA_IMAGE names an image).")
        try:
            self.compose(*self._options(images.profiles(self.environ, self.offline)), "up", "-d")
        except ComposeError as error:
            raise ComposeError(f"{error}\n{self._failures()}") from None
        self._wait_ready(selection)
        self._write_stack_env(selection)

    def stop(self, volumes: bool) -> None:
        """Stop and remove the containers, with their data if `volumes`."""
        self.render(Selection())
        self.compose(*self._options([images.OBSERVABILITY]), "down", "--remove-orphans", *["--volumes"] * volumes)
        self.folder.stack_env.unlink(missing_ok=True)
        self._save({"offline": self.offline})

    def run_tests(self, command: list[str]) -> None:
        """Run the command beside the containers. Raises ComposeError when it fails."""
        both = [self.folder.compose_file, self.folder.tests_file]
        engine.compose(both, ["run", "--rm", "--no-deps", "-T", "tests", *command], self.environ)

    def compose(self, *arguments: str, quiet: bool = False) -> None:
        engine.compose([self.folder.compose_file], arguments, self.environ, quiet)

    @property
    def gateway_url(self) -> str:
        return f"http://127.0.0.1:{self.environ.get('GATEWAY_PORT', DEFAULT_PORT)}"

    def _wait_ready(self, selection: Selection) -> None:
        whole = set(selection.services) == set(SERVICES)
        deadline = time.monotonic() + READY_LIMIT_S
        while True:
            found = engine.containers(self.environ)
            unwell = [each for each in found if not each.is_well]
            health = loopback.health(self.gateway_url) if whole and not unwell else None
            if not unwell and (health is None or health.ok):
                return
            if time.monotonic() > deadline:
                said = f"\n/health: {health.text}" if health else ""
                raise ComposeError(
                    f"The containers are not healthy after {READY_LIMIT_S:g} s.{said}\n{self._failures()}"
                )
            time.sleep(0.5)

    def _failures(self) -> str:
        unwell = [each for each in engine.containers(self.environ) if not each.is_well]
        return "\n".join(
            f"--- {each.name}: {each.state}, exit code {each.exit_code}{', ' * bool(each.health)}{each.health}\n"
            f"{engine.log_tail(each.name)}"
            for each in unwell
            if each.state != "created"
        )

    def _write_stack_env(self, selection: Selection) -> None:
        variables = {"JWT_SECRET": self.folder.secrets.read("jwt_secret")}
        if "gateway_service" in selection.services:
            variables["GATEWAY_URL"] = self.gateway_url
        lines = "".join(f"{name}={value}\n" for name, value in variables.items())
        files.write_private(self.folder.stack_env, lines)

    def _save(self, state: dict[str, object]) -> None:
        files.write_private(self.folder.state, json.dumps(state) + "\n")

    @staticmethod
    def _options(profiles: list[str]) -> list[str]:
        return [part for name in profiles for part in ("--profile", name)]

    @staticmethod
    def _write_shared(path: Path, text: str) -> None:
        """A file that an unprivileged user of a container must read, in a folder that is mounted."""
        path.parent.mkdir(parents=True, exist_ok=True)
        path.parent.chmod(0o755)
        if not path.exists() or path.read_text(encoding="utf-8") != text:
            files.write_private(path, text)
        path.chmod(0o444)
