"""`python -m replay`: exit 0 when nothing differs, 1 when anything does, 2 when it cannot be run."""

import argparse
import math
import os
import signal
import sys
import threading
from pathlib import Path
from types import FrameType

from rich.console import Console

from replay import connection
from replay.client import ApiError, Gateway, Stopped, Unavailable
from replay.comparison import read_back
from replay.fleet import FleetError, prepare
from replay.progress import RideProgress
from replay.report import print_report
from replay.run import by_bike, ride_all, span_s
from replay.source import Ride, SourceError, load

DEFAULT_DATA = Path(__file__).parent / "data" / "valleybike" / "2018-06.csv.gz"
DEFAULT_SPEED = 600.0
POSITIONS_UNDER_WAY_S = 30.0
LONGEST_REPLAY_S = 30 * 86_400


def rides_argument(text: str) -> int:
    if not text.isascii() or not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"RIDES must be a whole number from 1 up, not {text!r}")
    return int(text)


def speed_argument(text: str) -> float:
    try:
        speed = float(text)
    except ValueError:
        speed = math.nan
    if not 0 < speed < math.inf:
        raise argparse.ArgumentTypeError(f"SPEED must be a number over 0, not {text!r}")
    return speed


def arguments(argv: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="replay", description="Ride recorded trips and compare what the system has.")
    parser.add_argument("--data", type=Path, default=DEFAULT_DATA, help="gzipped CSV of rides (default: 2018-06)")
    parser.add_argument("--rides", type=rides_argument, help="only the first so many rides of the file")
    parser.add_argument("--speed", type=speed_argument, default=DEFAULT_SPEED, help="times faster than life (600)")
    parser.add_argument("--gateway", help="URL of the gateway (default: GATEWAY_URL, or that of the running stack)")
    return parser.parse_args(argv)


def main(argv: list[str]) -> int:
    options = arguments(argv)
    try:
        rides = load(options.data, options.rides)
        queues = by_bike(rides)
        longest_s = max(map(span_s, queues)) / options.speed
        if longest_s > LONGEST_REPLAY_S:
            raise SourceError(f"at SPEED={options.speed:g} the replay would take {longest_s / 86_400:,.0f} days")
        gateway = Gateway(connection.find(options.gateway, os.environ), stopped_by_signals())
        return replay(gateway, queues, options.speed, longest_s)
    except (SourceError, connection.ConnectionSettingsError, FleetError) as error:
        print(f"replay: {error}", file=sys.stderr)
    except ApiError as error:
        hint = ": is JWT_SECRET that of this gateway?" if error.status in (401, 403) else ""
        print(f"replay: {error}{hint}", file=sys.stderr)
    except Unavailable as error:
        print(f"replay: {error}\nIs the stack up? make status; make up starts it.", file=sys.stderr)
    except (KeyboardInterrupt, Stopped):
        print("replay: interrupted; what it started is cancelled by the next replay at the latest", file=sys.stderr)
        return 130
    return 2


def stopped_by_signals() -> threading.Event:
    """Set by SIGINT and SIGTERM, so that no thread waits on while the main thread unwinds."""
    stop = threading.Event()

    def interrupt(number: int, frame: FrameType | None) -> None:
        stop.set()
        raise KeyboardInterrupt

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, interrupt)
    return stop


def replay(gateway: Gateway, queues: list[list[Ride]], speed: float, longest_s: float) -> int:
    """Rides and compares; the exit code. Raises what its parts raise."""
    console = Console()
    rides = [ride for queue in queues for ride in queue]
    points = sum(len(ride.reports) for ride in rides)
    console.print(
        f"{len(rides):,} rides of {len(queues):,} bikes, {points:,} points; "
        f"at SPEED={speed:g} the busiest bike rides for {longest_s:,.0f} s",
        soft_wrap=True,
    )
    gateway.probe()
    bike_ids = prepare(gateway, rides)
    with RideProgress(console, len(rides), points) as progress:
        outcomes = ride_all(gateway, queues, bike_ids, speed, progress)
    console.print(f"Reading back (up to {POSITIONS_UNDER_WAY_S:.0f} s for positions under way) ...")
    return 0 if print_report(console, read_back(gateway, outcomes, POSITIONS_UNDER_WAY_S)) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
