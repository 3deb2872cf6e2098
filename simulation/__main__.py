"""`python -m simulation demo|load`: exit 0 when all is well, 1 for errors or differences, 2 when it cannot be run."""

import os
import signal
import sys
import threading
from types import FrameType

from rich.console import Console

from replay import connection
from replay.client import ApiError, Stopped, Unavailable
from replay.connection import ConnectionSettingsError
from replay.fleet import FleetError
from simulation import arguments, demo, load, stack
from simulation.doors import opened
from simulation.mqtt import MqttError
from simulation.stack import StackError

INTERRUPTED = 130


def main(argv: list[str]) -> int:
    options = arguments.read(argv)
    is_demo = options.command == "demo"
    stop = threading.Event()
    try:
        if is_demo:
            stack.ensure(options.gateway, os.environ)
        with opened(connection.find(options.gateway, os.environ), options.mqtt, stop) as doors:
            close_on_signals(doors.closing, stop)
            return (demo if is_demo else load).run(Console(), doors, options)
    except (ConnectionSettingsError, FleetError, MqttError, StackError) as error:
        print(f"error: {error}", file=sys.stderr)
    except ApiError as error:
        hint = ": is JWT_SECRET that of this gateway?" if error.status in (401, 403) else ""
        print(f"error: {error}{hint}", file=sys.stderr)
    except Unavailable as error:
        print(f"error: {error}\nIs the stack up? make status; make up starts it.", file=sys.stderr)
    except (KeyboardInterrupt, Stopped):
        print("interrupted; trips that are left are cancelled by the next run at the latest", file=sys.stderr)
        return INTERRUPTED
    return 2


def close_on_signals(closing: threading.Event, stop: threading.Event) -> None:
    """The first SIGINT or SIGTERM ends everything in good order, the second at once."""

    def handle(number: int, frame: FrameType | None) -> None:
        if closing.is_set():
            stop.set()
            raise KeyboardInterrupt
        closing.set()

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, handle)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
