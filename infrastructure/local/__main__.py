"""`python -m infrastructure.local COMMAND`: what the Makefile calls; options come from the environment."""

import os
import sys
from collections.abc import Callable

from infrastructure.local import commands, migrations, run, shell, slate, token
from infrastructure.local.errors import LocalError
from infrastructure.local.layout import Layout
from infrastructure.selection import SelectionError


def print_token(layout: Layout) -> int:
    print(token.make(layout, os.environ))
    return 0


def open_shell(layout: Layout) -> int:
    shell.shell(layout)
    return 0


COMMANDS: dict[str, Callable[[Layout], int]] = {
    "run": run.run,
    "run-in-background": lambda layout: run.run(layout, background=True),
    "up": run.up,
    "down": commands.down,
    "status": commands.status,
    "logs": lambda layout: commands.logs(layout, os.environ),
    "clean": lambda layout: commands.clean(layout, os.environ),
    "clean-service": lambda layout: slate.clean_service(layout, os.environ),
    "migrate": lambda layout: migrations.migrate(layout, os.environ),
    "migration": lambda layout: migrations.migration(os.environ),
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
