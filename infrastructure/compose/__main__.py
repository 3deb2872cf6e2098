"""`python -m infrastructure.compose COMMAND`: what the Makefile calls; options come from the environment."""

import os
import sys
from collections.abc import Callable

from infrastructure import mqtt_broker
from infrastructure import selection as selections
from infrastructure.compose import engine, kept, rendering
from infrastructure.compose.errors import ComposeError
from infrastructure.compose.folder import Folder
from infrastructure.compose.stack import Stack
from infrastructure.selection import SERVICES, Selection, SelectionError

COMMITTED = rendering.FOLDER / "docker-compose.yml"
COMMITTED_TARGETS = rendering.FOLDER / "observability" / "targets" / "gateway_service.yml"
# Those start stacks of their own, which is a checkout's affair.
OF_A_CHECKOUT = ["--ignore=tests/e2e/test_chosen_services.py"]


def say(text: str) -> None:
    print(text, flush=True)


def stack() -> Stack:
    return Stack(Folder.of(os.environ), os.environ, say)


def render() -> None:
    """Write the committed compose file anew, for all services, and what it mounts."""
    for name, text in mqtt_broker.of_a_container().items():
        (rendering.FOLDER / "docker" / "mqtt" / name).write_text(text, encoding="utf-8")
    COMMITTED.write_text(rendering.compose_file(Selection(), rendering.COMMITTED), encoding="utf-8")
    COMMITTED_TARGETS.write_text(rendering.gateway_targets(Selection()), encoding="utf-8")


def build() -> None:
    engine.check_engine()
    here = stack()
    builder = here.builder
    builder.parts()
    builder.services(SERVICES)
    builder.all_in_one()
    here.keep_settings()


def run() -> None:
    selections.read(os.environ)  # what is wrong with it is said at once
    engine.check_engine()
    here = stack()
    chosen = here.wanted()
    here.render(chosen)
    here.prepare_images(chosen)
    here.keep_settings()
    say("Starting the containers ...")
    here.start(chosen)
    where = f" at {here.gateway_url}" if "gateway_service" in chosen.services else ""
    processes = ", ".join(f"{selections.short(name)}={number}" for name, number in chosen.processes.items())
    say(f"Running{where}: {processes}.")
    if mqtt_address := here.mqtt_address(chosen):
        say(f"MQTT for bikes: {mqtt_address} (docs/mqtt.md).")
    elif here.settings.get("MQTT_PORT"):
        say("MQTT_PORT has no effect without the gateway, by whose tokens bikes are let in.")
    say("A token: make token ROLE=operator. Logs: docker logs -f <container>. To stop: make docker-down.")


def down() -> None:
    engine.check_engine()
    volumes = os.environ.get("VOLUMES", "") in kept.YES
    stack().stop(volumes)
    say("Stopped; all data is removed." if volumes else "Stopped; the data is kept (VOLUMES=1 removes it).")


def test() -> None:
    run()
    here = stack()
    here.builder.tests()
    say("The end-to-end tests, against the containers ...")
    here.run_tests(["python", "-m", "pytest", "tests/e2e", "-q", *OF_A_CHECKOUT, *os.environ.get("ARGS", "").split()])
    say("The replay, against the containers ...")
    here.run_tests(["python", "-m", "replay"])


COMMANDS: dict[str, Callable[[], None]] = {"render": render, "build": build, "run": run, "down": down, "test": test}


def main(arguments: list[str]) -> int:
    if len(arguments) != 1 or arguments[0] not in COMMANDS:
        print(f"usage: python -m infrastructure.compose {'|'.join(COMMANDS)}", file=sys.stderr)
        return 2
    try:
        COMMANDS[arguments[0]]()
    except (ComposeError, SelectionError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
