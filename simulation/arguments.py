"""The command lines of `python -m simulation demo` and `load`."""

import argparse
import math
import secrets
from collections.abc import Callable

MOST_BIKES, MOST_RIDERS = 100_000, 2000
DEFAULT_BIKES, DEFAULT_RIDERS, DEFAULT_MINUTES = 200, 50, 5.0
DEMO_SPEED = 10.0


def whole(name: str, most: int) -> Callable[[str], int]:
    """A whole number from 1 to `most`."""

    def read(text: str) -> int:
        if not text.isascii() or not text.isdecimal() or not 1 <= int(text) <= most:
            raise argparse.ArgumentTypeError(f"{name} must be a whole number from 1 to {most:,}, not {text!r}")
        return int(text)

    return read


def over_zero(name: str, most: float) -> Callable[[str], float]:
    """A number over 0, up to `most`."""

    def read(text: str) -> float:
        try:
            number = float(text)
        except ValueError:
            number = math.nan
        if not 0 < number <= most:
            raise argparse.ArgumentTypeError(f"{name} must be a number over 0, {most:,.0f} at most, not {text!r}")
        return number

    return read


def address(text: str) -> tuple[str, int]:
    """`host:port`, an IPv6 address in brackets."""
    host, _, port = text.rpartition(":")
    host = host.removeprefix("[").removesuffix("]") if host.startswith("[") else host
    if not host or any(letter.isspace() for letter in host) or not port.isascii() or not port.isdecimal():
        raise argparse.ArgumentTypeError(f"MQTT must be host:port, not {text!r}")
    if not 1 <= int(port) <= 65_535:
        raise argparse.ArgumentTypeError(f"MQTT names port {port}, which does not exist")
    return host, int(port)


def seed(text: str) -> str:
    if not 1 <= len(text) <= 100:
        raise argparse.ArgumentTypeError("SEED must have 1 to 100 characters")
    return text


def read(argv: list[str]) -> argparse.Namespace:
    """`command`, `gateway`, `mqtt`, `speed`, `minutes`; a load has `bikes`, `riders` and `seed` too."""
    parser = argparse.ArgumentParser(prog="simulation", description="A city that moves.")
    commands = parser.add_subparsers(dest="command", required=True)
    demo = commands.add_parser("demo", help="recorded rides as a living fleet, until Ctrl-C")
    _common(demo, DEMO_SPEED, None)
    load = commands.add_parser("load", help="random riders on random bikes, then a check of what came of it")
    _common(load, 1.0, DEFAULT_MINUTES)
    load.add_argument("--bikes", type=whole("BIKES", MOST_BIKES), default=DEFAULT_BIKES)
    load.add_argument("--riders", type=whole("RIDERS", MOST_RIDERS), default=DEFAULT_RIDERS)
    load.add_argument("--seed", type=seed, default=None, help="the same seed makes the same plan (default: random)")
    options = parser.parse_args(argv)
    if options.command == "load" and options.seed is None:
        options.seed = secrets.token_hex(3)
    return options


def _common(parser: argparse.ArgumentParser, speed: float, minutes: float | None) -> None:
    parser.add_argument("--gateway", help="URL of the gateway (default: GATEWAY_URL, or that of the running stack)")
    parser.add_argument("--mqtt", type=address, help="host:port of a broker over which the bikes that are alone report")
    parser.add_argument("--speed", type=over_zero("SPEED", 1000), default=speed, help=f"times life's ({speed:g})")
    parser.add_argument("--minutes", type=over_zero("MINUTES", 100_000), default=minutes)
