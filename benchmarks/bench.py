"""What a workload works with: the stacks, started when they are first asked for, and files of its own."""

import contextlib
import secrets
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks import measure, stacks
from benchmarks.measure import Contender, Measurement
from benchmarks.parts import Ground, Parts
from benchmarks.stacks import Stack
from benchmarks.usage import Groups


@dataclass(frozen=True)
class Settings:
    """`seconds`: of each run; `rounds`: how often each contender runs; `parameters`: `workload.name` to a number."""

    seconds: float = 2.0
    rounds: int = 2
    long: bool = False
    only: tuple[str, ...] = ()
    parameters: Mapping[str, int] = field(default_factory=dict)

    @property
    def warm_up_s(self) -> float:
        return max(1.0, self.seconds / 4)


class Bench:
    """One run; `say` shows what is being done."""

    def __init__(self, settings: Settings, folder: Path, parts: Parts, say: Callable[[str], None]) -> None:
        self.settings, self.folder, self.parts, self.say = settings, folder, parts, say
        self.secret = secrets.token_hex(32)
        self._stacks: dict[str, Stack] = {}
        self._files = 0

    @property
    def ours(self) -> Stack:
        return self._shared("ours", stacks.ours)

    @property
    def stock(self) -> Stack:
        return self._shared("stock", stacks.stock)

    @property
    def http_only(self) -> Stack:
        ground = self.ours.ground
        if "http_only" not in self._stacks:
            self._stacks["http_only"] = stacks.http_only(ground, self.secret, self.folder)
        return self._stacks["http_only"]

    def _shared(self, name: str, start: Callable[[Ground, str, Path], Stack]) -> Stack:
        if name not in self._stacks:
            self.say(f"starting {name} ...")
            self._stacks[name] = start(self.parts.ground(name), self.secret, self.folder)
        return self._stacks[name]

    @contextlib.contextmanager
    def another(self, name: str, prepare: Callable[[Ground], None] | None = None, each: int = 1) -> Iterator[Stack]:
        """Our services once more, for the time of the block, on a ground that `prepare` has filled."""
        self.say(f"starting {name} ...")
        ground = self.parts.ground(name)
        try:
            if prepare is not None:
                prepare(ground)
            stack = stacks.ours(ground, self.secret, self.folder, each)
            try:
                yield stack
            finally:
                stack.stop()
        finally:
            self.parts.drop(ground)

    def groups(self, stack: Stack) -> Callable[[], Groups]:
        """The processes of a stack with broker and database."""
        return lambda: {**stack.groups, **self.parts.groups}

    def compare(self, *contenders: Contender) -> list[Measurement]:
        """Run them alternately, for as long and as often as the settings say; ours comes first."""
        self.parts.settle()
        settings = self.settings
        return measure.alternate(contenders, settings.rounds, settings.seconds, settings.warm_up_s)

    def file(self, lines: Sequence[str] = ()) -> Path:
        """A new file that holds the lines."""
        self._files += 1
        path = self.folder / f"data.{self._files}"
        path.touch(mode=0o600)
        path.write_text("".join(f"{line}\n" for line in lines))
        return path

    def stop(self) -> None:
        for stack in self._stacks.values():
            stack.stop()
        self._stacks = {}
