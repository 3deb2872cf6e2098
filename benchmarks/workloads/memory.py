"""Resident memory of each process over 100,000 requests of all kinds: how much it grows after the warm-up."""

import statistics
from collections.abc import Mapping, Sequence

from benchmarks import fleet, loads, riding, usage
from benchmarks.bench import Bench
from benchmarks.errors import BenchmarkError
from benchmarks.marks import Mark
from benchmarks.measure import Contender
from benchmarks.registry import Workload
from benchmarks.rows import Row, judged
from benchmarks.workloads import positions_single

BIKES, RIDERS = 10_000, 50
# In turns of all kinds: at the default length as many as a system of a hundred requests a second needs.
MOST_TURNS = 60
# The share of a turn's time of requests that take several times as long as the others.
SLOW = 1 / 3
# A share of the requests, in which pools fill and caches reach their size.
WARM_UP = 0.2
# Growth is between the medians of this many samples after the warm-up and at the end.
SAMPLES = 3
MARK = Mark(less_than=3)


def run(bench: Bench, values: Mapping[str, int]) -> Sequence[Row]:
    stack = loads.filled(bench.ours, riding.bikes_for(RIDERS, MOST_TURNS))
    kinds = [
        (loads.reads(bench, "reads", stack, fleet.bike_ids(BIKES)), 1.0),
        (loads.nearest(bench, "nearest", stack, BIKES), SLOW),
        (positions_single.contender(bench, "positions", stack, is_stored=True), 1.0),
        (riding.riders(bench, "rides", stack, RIDERS), SLOW),
    ]
    requests, samples = values["requests"], list[dict[str, int]]()
    done = _work(kinds, bench.settings.seconds, int(requests * WARM_UP), 1, stack.groups, samples)
    warm_up_turns = len(samples)
    samples.clear()
    done += _work(
        kinds, bench.settings.seconds, requests - done, 2 * SAMPLES, stack.groups, samples, MOST_TURNS - warm_up_turns
    )
    rows = []
    for name in stack.groups:
        start, end = (
            statistics.median(each[name] for each in part) for part in (samples[:SAMPLES], samples[-SAMPLES:])
        )
        growth = (end / start - 1) * 100
        rows.append(judged("memory", f"{name}, {end / 1e6:.0f} MB", f"% in {done:,} req", growth, MARK))
    return rows


def _work(
    kinds: Sequence[tuple[Contender, float]],
    seconds: float,
    requests: int,
    least_turns: int,
    groups: usage.Groups,
    samples: list[dict[str, int]],
    most_turns: int = MOST_TURNS,
) -> int:
    """Run the kinds in turn until so many requests are answered, with a sample after each turn; how many were.

    Raises BenchmarkError when that takes more turns than there are bikes for.
    """
    done = 0
    while done < requests or len(samples) < least_turns:
        if len(samples) >= most_turns:
            raise BenchmarkError(f"only {done:,} of {requests:,} requests were answered in {len(samples)} turns")
        for kind, share in kinds:
            done += kind.run_once(seconds * share)[0].count
        samples.append({name: usage.resident(pids) for name, pids in groups.items()})
    return done


WORKLOAD = Workload("memory", 110, run, parameters={"requests": 100_000})
