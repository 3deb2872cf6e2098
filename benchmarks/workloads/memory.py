"""Resident memory of each process over 100,000 requests of all kinds: how much it grows after the warm-up."""

import statistics
from collections.abc import Mapping, Sequence

from benchmarks import fleet, loads, riding, usage
from benchmarks.bench import Bench
from benchmarks.marks import Mark
from benchmarks.measure import Contender
from benchmarks.registry import Workload
from benchmarks.rows import Row, judged
from benchmarks.workloads import positions_single

BIKES, RIDERS = 10_000, 50
# A share of the requests, in which pools fill and caches reach their size.
WARM_UP = 0.2
# Growth is between the medians of this many samples after the warm-up and at the end.
SAMPLES = 3
MARK = Mark(less_than=3)


def run(bench: Bench, values: Mapping[str, int]) -> Sequence[Row]:
    stack = loads.filled(bench.ours, max(BIKES, riding.bikes_for(RIDERS, 20)))
    kinds = [
        loads.reads(bench, "reads", stack, fleet.bike_ids(BIKES)),
        loads.nearest(bench, "nearest", stack, BIKES),
        positions_single.contender(bench, "positions", stack, is_stored=True),
        riding.riders(bench, "rides", stack, RIDERS),
    ]
    requests, samples = values["requests"], list[dict[str, int]]()
    done = _work(kinds, bench.settings.seconds, int(requests * WARM_UP), stack.groups, samples)
    samples.clear()
    done += _work(kinds, bench.settings.seconds, requests - done, stack.groups, samples)
    rows = []
    for name in stack.groups:
        start, end = (
            statistics.median(each[name] for each in part) for part in (samples[:SAMPLES], samples[-SAMPLES:])
        )
        growth = (end / start - 1) * 100
        rows.append(judged("memory", f"{name}, {end / 1e6:.0f} MB", f"% in {done:,} req", growth, MARK))
    return rows


def _work(
    kinds: Sequence[Contender], seconds: float, requests: int, groups: usage.Groups, samples: list[dict[str, int]]
) -> int:
    """Run the kinds in turn until so many requests are answered, with a sample after each; how many were."""
    done = 0
    while done < requests or len(samples) < 2 * SAMPLES:
        for kind in kinds:
            done += kind.run_once(seconds)[0].count
        samples.append({name: usage.resident(pids) for name, pids in groups.items()})
    return done


WORKLOAD = Workload("memory", 110, run, parameters={"requests": 100_000})
