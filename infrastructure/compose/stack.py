"""The containers of a checkout: rendered, built, started, waited for, stopped."""

import os
from collections.abc import Callable, Mapping

from infrastructure import selection as selections
from infrastructure.compose import engine, images, kept, mounted, readiness, rendering
from infrastructure.compose.errors import ComposeError
from infrastructure.compose.folder import Folder
from infrastructure.local import files, loopback
from infrastructure.local.layout import ROOT
from infrastructure.programs import GATEWAY
from infrastructure.selection import SERVICES, Selection

DEFAULT_PORT = "8000"
# From .local/docker/<project> to the root of the repository.
UP = "../../.."


class Stack:
    """The containers for the variables of `environ`; `say` tells the person at the terminal."""

    def __init__(self, folder: Folder, environ: Mapping[str, str], say: Callable[[str], None]) -> None:
        self.folder, self.say, self._given = folder, say, environ
        files.private_folder(folder.path)
        self.settings = kept.merged(files.read_json(folder.settings), environ)
        self.offline = self.settings.get("OFFLINE") in kept.YES
        parts = images.OFFLINE if self.offline else {}
        set_by_operator = {name: value for name, value in environ.items() if value}
        self.environ = {**parts, **set_by_operator, **self.settings, "TESTS_USER": f"{os.getuid()}:{os.getgid()}"}
        self.builder = images.Builder(ROOT, self.environ, self.offline, say)

    def keep_settings(self) -> None:
        """Let those that hold now hold at the next start too, and say which they are."""
        files.write_json(self.folder.settings, dict(self.settings))
        if self.settings:
            self.say(f"Settings: {kept.described(self.settings)} (kept; NAME= takes one back)")

    def render(self, selection: Selection) -> None:
        """Write the secrets that are missing, and the files of compose. Raises ComposeError when it finds a fault."""
        self.folder.secrets.make()
        text = rendering.compose_file(selection, rendering.RENDERED, mqtt=self.mqtt_address(selection) is not None)
        files.write_private(self.folder.compose_file, text)
        files.write_private(self.folder.tests_file, rendering.tests_file(UP))
        mounted.write(rendering.FOLDER, self.folder.mounted, rendering.gateway_targets(selection))
        self.compose("config", "-q", quiet=True)

    def wanted(self) -> Selection:
        """What SERVICES and PROCESSES choose, and what runs already, which must not be lost from the file."""
        known = files.read_json(self.folder.processes)
        # one that has just ended is started anew
        running = {each.service for each in engine.containers(self.environ) if each.state in ("running", "restarting")}
        before = {name: number for name, number in known.items() if name in running and name in SERVICES}
        return selections.wanted(Selection(before), self._given) if before else selections.read(self._given)

    def prepare_images(self, selection: Selection) -> None:
        """Build them, or with BUILD=0 see that they are there. Raises ComposeError."""
        if self.settings.get("BUILD") in kept.NO:
            self.builder.released(selection.services)
        else:
            self.builder.parts()
            self.builder.services(selection.services)

    def start(self, selection: Selection) -> None:
        """Start what is not running; returns once every container is healthy, and `/health` is 200 if all run."""
        files.write_json(self.folder.processes, dict(selection.processes))
        if images.without_grafana(self.environ, self.offline):
            self.say("Grafana is not among Debian's packages: it is left out (GRAFANA_IMAGE names an image).")
        try:
            self.compose(*self._options(images.profiles(self.environ, self.offline)), "up", "-d")
        except ComposeError as error:
            raise ComposeError(f"{error}\n{readiness.failures(engine.containers(self.environ))}") from None
        whole = set(selection.services) == set(SERVICES)
        readiness.wait(
            readiness.needed(selection, self.mqtt_address(selection) is not None),
            lambda: engine.containers(self.environ),
            lambda: loopback.health(self.gateway_url) if whole else None,
        )
        self._write_stack_env(selection)

    def stop(self, volumes: bool) -> None:
        """Stop and remove the containers, with their data if `volumes`."""
        self.render(Selection())
        self.compose(*self._options([images.OBSERVABILITY]), "down", "--remove-orphans", *["--volumes"] * volumes)
        self.folder.stack_env.unlink(missing_ok=True)
        self.folder.processes.unlink(missing_ok=True)

    def run_tests(self, command: list[str]) -> None:
        """Run the command beside the containers. Raises ComposeError when it fails."""
        both = [self.folder.compose_file, self.folder.tests_file]
        engine.compose(both, ["run", "--rm", "--no-deps", "-T", "tests", *command], self.environ)

    def compose(self, *arguments: str, quiet: bool = False) -> None:
        engine.compose([self.folder.compose_file], arguments, self.environ, quiet)

    @property
    def gateway_url(self) -> str:
        return f"http://127.0.0.1:{self.environ.get('GATEWAY_PORT', DEFAULT_PORT)}"

    def mqtt_address(self, selection: Selection) -> str | None:
        """host:port where bikes connect; None unless MQTT_PORT asks for it and the gateway is among the services."""
        port = self.settings.get("MQTT_PORT")
        return f"127.0.0.1:{port}" if port and GATEWAY in selection.services else None

    def _write_stack_env(self, selection: Selection) -> None:
        variables = {"JWT_SECRET": self.folder.secrets.read("jwt_secret")}
        if "gateway_service" in selection.services:
            variables["GATEWAY_URL"] = self.gateway_url
        if mqtt_address := self.mqtt_address(selection):
            variables["MQTT_ADDRESS"] = mqtt_address
        lines = "".join(f"{name}={value}\n" for name, value in variables.items())
        files.write_private(self.folder.stack_env, lines)

    @staticmethod
    def _options(profiles: list[str]) -> list[str]:
        return [part for name in profiles for part in ("--profile", name)]
