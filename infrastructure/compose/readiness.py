"""Waiting for containers: those of the chosen services and what they need, and none beside."""

import time
from collections.abc import Callable, Iterable, Sequence

from infrastructure.compose import engine
from infrastructure.compose.engine import Container
from infrastructure.compose.errors import ComposeError
from infrastructure.local.loopback import Health
from infrastructure.programs import MQTT_LOGIN
from infrastructure.selection import Selection, short

READY_LIMIT_S = 240.0
POLL_S = 0.5
# A container that has ended so often while it was waited for will not do better.
MAX_RESTARTS = 3


def needed(selection: Selection, mqtt: bool = False) -> frozenset[str]:
    """Compose's names of the services, their databases and migrations, the broker, and what judges bikes on it."""
    of_databases = {f"{short(name)}_{part}" for name in selection.databases for part in ("postgres", "migrate")}
    return frozenset({"rabbitmq", *selection.services, *of_databases, *[MQTT_LOGIN] * mqtt})


def wait(names: frozenset[str], look: Callable[[], Sequence[Container]], health: Callable[[], Health | None]) -> None:
    """Return once every container of `names` is well, and `health`, asked then, is None or ok.

    Raises ComposeError with the logs when READY_LIMIT_S has passed, or a container starts again and again.
    """
    deadline = time.monotonic() + READY_LIMIT_S
    at_first: dict[str, int] = {}
    while True:
        found = [each for each in look() if each.service in names]
        missing = names - {each.service for each in found}
        unwell = [each for each in found if not each.is_well]
        answer = health() if not missing and not unwell else None
        if not missing and not unwell and (answer is None or answer.ok):
            return
        looping = [
            each for each in unwell if each.restarts - at_first.setdefault(each.name, each.restarts) >= MAX_RESTARTS
        ]
        if looping:
            raise ComposeError(f"{_listed(looping)} ends again and again.\n{failures(looping)}")
        if time.monotonic() > deadline:
            absent = f"\nThere is no container of {', '.join(sorted(missing))}." if missing else ""
            said = f"\n/health: {answer.text}" if answer else ""
            raise ComposeError(
                f"The containers are not healthy after {READY_LIMIT_S:g} s.{absent}{said}\n{failures(found)}"
            )
        time.sleep(POLL_S)


def failures(found: Iterable[Container]) -> str:
    """How those are that are not well, and the last lines of what they have said."""
    return "\n".join(
        f"--- {each.name}: {each.state}, exit code {each.exit_code}{', ' * bool(each.health)}{each.health}\n"
        f"{engine.log_tail(each.name)}"
        for each in found
        if not each.is_well and each.state != "created"
    )


def _listed(found: Iterable[Container]) -> str:
    return ", ".join(each.name for each in found)
