"""Running what is compared alternately, and summing up what it cost."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from benchmarks import figures, usage
from benchmarks.usage import Groups, Usage


@dataclass(frozen=True)
class Sample:
    """One run: `count` units of work in `seconds`; latencies in milliseconds where a unit has one."""

    count: int
    seconds: float
    p50_ms: float | None = None
    p99_ms: float | None = None


@dataclass(frozen=True)
class Contender:
    """`run` works for about so many seconds, and raises BenchmarkError when an answer is wrong.

    `groups`: the processes whose cost counts, asked for before each run. What `prepare` (for so many seconds of a
    run) and `check` do, before and after each run, costs nobody anything; `check` raises BenchmarkError, too.
    """

    name: str
    run: Callable[[float], Sample]
    groups: Callable[[], Groups]
    prepare: Callable[[float], None] = lambda seconds: None
    check: Callable[[], None] = lambda: None

    def run_once(self, seconds: float) -> tuple[Sample, Usage]:
        """Prepare, run, check."""
        self.prepare(seconds)
        with usage.measured(self.groups()) as used:
            sample = self.run(seconds)
        self.check()
        return sample, used


@dataclass(frozen=True)
class Measurement:
    """`cpu`: seconds for a unit of work, by group; `peak`: bytes, by group."""

    name: str
    count: int
    seconds: float
    p50_ms: float | None
    p99_ms: float | None
    cpu: dict[str, float]
    peak: dict[str, int]

    @property
    def rate(self) -> float:
        """Units of work a second."""
        return self.count / self.seconds if self.seconds else 0.0


def alternate(contenders: Sequence[Contender], rounds: int, seconds: float, warm_up_s: float) -> list[Measurement]:
    """Warm each up, then run them in turns (A B A B), so that a change of the machine's mood meets all alike."""
    for contender in contenders:
        contender.run_once(warm_up_s)
    runs: list[list[tuple[Sample, Usage]]] = [[] for _ in contenders]
    for _ in range(rounds):
        for contender, own in zip(contenders, runs, strict=True):
            own.append(contender.run_once(seconds))
    return [merge(contender.name, own) for contender, own in zip(contenders, runs, strict=True)]


def merge(name: str, runs: Sequence[tuple[Sample, Usage]]) -> Measurement:
    """Counts, seconds and costs are added up, latencies are the median of the runs', memory the highest."""
    count = sum(sample.count for sample, _ in runs)
    groups = {group for _, used in runs for group in used.cpu}
    cpu = {group: sum(used.cpu.get(group, 0.0) for _, used in runs) / max(count, 1) for group in sorted(groups)}
    peaks = {group for _, used in runs for group in used.peak}
    return Measurement(
        name,
        count,
        sum(sample.seconds for sample, _ in runs),
        _median_of([sample.p50_ms for sample, _ in runs]),
        _median_of([sample.p99_ms for sample, _ in runs]),
        cpu,
        {group: max(used.peak.get(group, 0) for _, used in runs) for group in sorted(peaks)},
    )


def _median_of(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return figures.median(known) if known else None
