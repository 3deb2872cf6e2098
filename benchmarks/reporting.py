"""Contenders that report positions and wait until they are stored and reflected; a unit is one position."""

import contextlib
import datetime as dt
import time

from benchmarks import checks, figures, http_load, telemetry
from benchmarks.amqp_load import Publisher, frames
from benchmarks.bench import Bench
from benchmarks.errors import BenchmarkError
from benchmarks.limits import copying
from benchmarks.measure import Contender, Sample
from benchmarks.parts import Ground
from benchmarks.stacks import Stack
from benchmarks.telemetry import Position, Reports
from shared import jwt
from shared.positions import EXCHANGE, bike_key

BATCH, BATCH_CONNECTIONS = 500, 4
# More than can be taken in: the clock ends the run, not the supply.
MOST_PER_S = 50_000
# Messages of the first run that are published one by one; later ones are as many as its rate lets expect.
FIRST_PER_S, LEAST, MOST = 500, 100, 200_000


def batches(bench: Bench, name: str, stack: Stack, reports: Reports) -> Contender:
    """HTTP in batches of 500, as fast as they are accepted."""
    token = jwt.mint(bench.secret, jwt.OPERATOR, "benchmark", dt.timedelta(hours=24))
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}

    supply: list[list[Position]] = []
    bodies: list[bytes] = []

    def prepare(seconds: float) -> None:
        supply[:] = [reports.take(BATCH) for _ in range(int(MOST_PER_S * seconds) // BATCH)]
        bodies[:] = [telemetry.message(batch) for batch in supply]

    def run(seconds: float) -> Sample:
        started = time.monotonic()
        posted = http_load.post_all(stack.url, "/v1/positions", headers, bodies, BATCH_CONNECTIONS, seconds, status=202)
        # Bodies are taken in their order, and what was begun was finished.
        if sorted(posted.accepted) != list(range(len(posted.accepted))):
            raise BenchmarkError("bodies were left out")
        accepted = [position for batch in supply[: len(posted.accepted)] for position in batch]
        checks.wait_stored(stack.ground, accepted)
        milliseconds = [each * 1000 for each in posted.seconds]
        return Sample(
            len(accepted),
            time.monotonic() - started,
            figures.percentile(milliseconds, 50),
            figures.percentile(milliseconds, 99),
        )

    return Contender(name, run, bench.groups(stack), prepare, lambda: checks.check_no_dead_letters(stack.ground))


def copies(bench: Bench, name: str, ground: Ground, reports: Reports) -> Contender:
    """COPY of rows like those of the batches, into the same table."""
    rows: list[Position] = []

    def prepare(seconds: float) -> None:
        rows[:] = reports.take(int(MOST_PER_S * seconds))

    def run(seconds: float) -> Sample:
        with contextlib.closing(ground.trips()) as connection:
            return Sample(len(rows), copying.copy(connection, rows))

    return Contender(name, run, lambda: bench.parts.groups, prepare)


def messages(bench: Bench, name: str, stack: Stack, reports: Reports) -> Contender:
    """One position in each AMQP message, confirmed by the broker."""
    rates: list[float] = []
    positions: list[Position] = []
    encoded: list[bytes] = []

    def prepare(seconds: float) -> None:
        expected = rates[-1] if rates else FIRST_PER_S
        positions[:] = reports.take(int(min(max(expected * seconds, LEAST), MOST)))
        now = int(time.time())
        encoded[:] = [
            frames(EXCHANGE.name, bike_key(each.bike_id), telemetry.message([each]), now) for each in positions
        ]

    def run(seconds: float) -> Sample:
        started = time.monotonic()
        with Publisher(stack.ground.amqp_uri) as broker:
            broker.publish_all(encoded)
        checks.wait_stored(stack.ground, positions)
        taken = time.monotonic() - started
        rates.append(len(positions) / taken)
        return Sample(len(positions), taken)

    return Contender(name, run, bench.groups(stack), prepare, lambda: checks.check_no_dead_letters(stack.ground))
