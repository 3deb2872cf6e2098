"""The load as a process of its own: `python -m tests.faults.load`, its order as one JSON line on stdin.

It rides until SIGTERM, then ends what it has begun and exits with 0.
"""

import json
import random
import signal
import sys
import threading
from pathlib import Path

from tests.faults.caller import Caller
from tests.faults.ledger import Ledger
from tests.faults.load_platform import Platform
from tests.faults.load_positions import PositionSource
from tests.faults.load_riders import LAST_TRIES_S, Rider


def main() -> int:
    """Returns the exit code: 1 when a rider could not come to an end."""
    order = json.loads(sys.stdin.readline())
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    ledger, positions = Ledger(Path(order["ledger"])), PositionSource(order["seed"])

    def caller(role: str, subject: str) -> Caller:
        return Caller(order["gateway_url"], order["secret"], role, subject, ledger)

    rng = random.Random(order["seed"])
    bikes = order["bikes"]
    threads: list[threading.Thread] = [
        Rider(caller, bikes, positions, stop, random.Random(rng.random())) for _ in range(order["riders"])
    ]
    threads.append(Platform(order["amqp_uri"], bikes, positions, stop, ledger, random.Random(rng.random())))
    for thread in threads:
        thread.start()
    while not stop.wait(0.5):
        pass
    for thread in threads:
        thread.join(LAST_TRIES_S + 15)
    return int(any(thread.is_alive() for thread in threads))


if __name__ == "__main__":
    sys.exit(main())
