"""`python -m infrastructure.local COMMAND`: what the Makefile calls; options come from the environment."""

import os
import sys
from collections.abc import Callable
from importlib import import_module

from infrastructure.local import commands, run, shell, token
from infrastructure.local.errors import LocalError
from infrastructure.local.layout import Layout
from infrastructure.selection import SelectionError


def print_token(layout: Layout) -> int:
    print(token.make(layout, os.environ))
    return 0


def open_shell(layout: Layout) -> int:
    shell.shell(layout)
    return 0


def on_service(command: str) -> Callable[[Layout], int]:
    """A command on SERVICE; its module brings half of the services' libraries, which the others do not wait for."""

    def call(layout: Layout) -> int:
        module, function = command.split(".")
        found = getattr(import_module(f"infrastructure.local.{module}"), function)
        return int(found(layout, os.environ))

    return call


COMMANDS: dict[str, Callable[[Layout], int]] = {
    "run": run.run,
    "run-in-background": lambda layout: run.run(layout, background=True),
    "up": run.up,
    "down": commands.down,
    "status": commands.status,
    "logs": lambda layout: commands.logs(layout, os.environ),
    "clean": lambda layout: commands.clean(layout, os.environ),
    "clean-service": on_service("slate.clean_service"),
    "migrate": on_service("migrations.migrate"),
    "migration": on_service("migrations.migration"),
    "token": print_token,
    "shell": open_shell,
}


def main(arguments: list[str]) -> int:
    if len(arguments) != 1 or arguments[0] not in COMMANDS:
        print(f"usage: python -m infrastructure.local {'|'.join(COMMANDS)}", file=sys.stderr)
        return 2
    try:
        return COMMANDS[arguments[0]](Layout.of(os.environ))
    except (LocalError, SelectionError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
