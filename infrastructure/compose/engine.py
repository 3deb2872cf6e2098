"""The Docker engine and compose, called as commands: v2 (`docker compose`) where there is one, else 1.29."""

import functools
import json
import os
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from infrastructure.compose import project
from infrastructure.compose.errors import ComposeError

LOG_LINES = 30


@dataclass(frozen=True)
class Container:
    """`state` is Docker's word (running, exited, ...); `health` is healthy, starting, unhealthy, or none at all.

    `restarts`: how often its policy has started it anew.
    """

    name: str
    service: str
    state: str
    health: str
    exit_code: int
    restarts: int = 0

    @property
    def is_well(self) -> bool:
        if self.service.endswith("_migrate"):
            return self.state == "exited" and self.exit_code == 0
        return self.state == "running" and self.health in ("healthy", "")


@functools.cache
def compose_command() -> tuple[str, ...]:
    """How compose is called here. Raises ComposeError when there is none."""
    for command in (("docker", "compose"), ("docker-compose",)):
        if shutil.which(command[0]) and _run([*command, "version"]).returncode == 0:
            return command
    raise ComposeError(
        "There is neither `docker compose` nor `docker-compose` (Debian: apt-get install docker-compose)."
    )


def compose(files: Sequence[Path], arguments: Sequence[str], environ: Mapping[str, str], quiet: bool = False) -> None:
    """Run compose on the files. Raises ComposeError when it fails."""
    options = [part for file in files for part in ("-f", str(file))]
    command = [*compose_command(), "-p", project.name(environ), *options, *arguments]
    done = subprocess.run(command, env=dict(environ), capture_output=quiet, text=True, check=False)
    if done.returncode:
        said = f":\n{done.stderr.strip()}" if quiet else "; the reason stands above"
        raise ComposeError(f"compose {arguments[0]} failed{said}")


def build(dockerfile: str, tag: str, root: Path, arguments: Mapping[str, str]) -> None:
    """Build one image in the folder `root`. Raises ComposeError when that fails."""
    options = [part for name, value in arguments.items() for part in ("--build-arg", f"{name}={value}")]
    # the older builder is silent when it is told to be; its output is shown when it was of use
    done = _run(["docker", "build", "--file", str(root / dockerfile), "--tag", tag, *options, str(root)])
    if done.returncode:
        raise ComposeError(f"{dockerfile} could not be built:\n{done.stdout[-3000:]}{done.stderr[-3000:]}")


def pull(name: str) -> None:
    """Raises ComposeError when that is not possible."""
    done = _run(["docker", "pull", "--quiet", name])
    if done.returncode:
        raise ComposeError(f"There is no image {name}, and it cannot be pulled: {done.stderr.strip()}")


def has_image(name: str) -> bool:
    return _run(["docker", "image", "inspect", name]).returncode == 0


def check_engine() -> None:
    """Raises ComposeError when no Docker engine answers."""
    if not shutil.which("docker"):
        raise ComposeError("There is no docker (Debian: apt-get install docker.io docker-compose).")
    done = _run(["docker", "version", "--format", "{{.Server.Version}}"])
    if done.returncode:
        raise ComposeError(f"The Docker engine does not answer: {done.stderr.strip()}")


def containers(environ: Mapping[str, str]) -> list[Container]:
    """Of this stack, whatever their state, without those that `compose run` has made."""
    label = f"label=com.docker.compose.project={project.name(environ)}"
    ids = _output(["docker", "ps", "--all", "--quiet", "--filter", label]).split()
    if not ids:
        return []
    found: list[dict[str, Any]] = json.loads(_output(["docker", "inspect", *ids]))
    return sorted((_container(each) for each in found if not _one_off(each)), key=lambda each: each.name)


def log_tail(container: str) -> str:
    """The last lines of what the container has said."""
    done = subprocess.run(
        ["docker", "logs", "--tail", str(LOG_LINES), container],
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False,
    )  # fmt: skip
    return done.stdout


def _one_off(found: dict[str, Any]) -> bool:
    return str(found["Config"]["Labels"].get("com.docker.compose.oneoff", "")).lower() == "true"


def _container(found: dict[str, Any]) -> Container:
    state = found["State"]
    return Container(
        found["Name"].removeprefix("/"), found["Config"]["Labels"]["com.docker.compose.service"], state["Status"],
        state.get("Health", {}).get("Status", "").replace("none", ""), state["ExitCode"],
        found["RestartCount"],
    )  # fmt: skip


def _output(command: list[str]) -> str:
    done = _run(command)
    if done.returncode:
        raise ComposeError(f"{' '.join(command[:2])} failed: {done.stderr.strip()}")
    return done.stdout


def _run(command: list[str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, env=os.environ.copy(), capture_output=True, text=True, check=False)
