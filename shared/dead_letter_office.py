"""What an operator does with dead letters: look, send again, discard. Each works through one queue."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

from shared.dead_letter_box import opened
from shared.dead_letter_names import work
from shared.letters import Letter
from shared.publisher import JSON, ConfirmingPublisher, Unroutable

CONFIRM_LIMIT_S = 10


@dataclass(frozen=True)
class Selection:
    """Which letters of a queue: all conditions that are not None must hold; of those at most `limit`."""

    id: str | None = None
    reason: str | None = None
    limit: int | None = None

    def of(self, letters: Iterator[Letter]) -> Iterator[Letter]:
        return islice((letter for letter in letters if self._has(letter)), self.limit)

    def _has(self, letter: Letter) -> bool:
        return self.id in (None, letter.id) and self.reason in (None, letter.reason)


@dataclass
class Survey:
    """What is in a queue: `count` letters, of which `seen` were read; numbers by reason and `items` of the selected."""

    queue: str
    count: int = 0
    seen: int = 0
    reasons: Counter[str] = field(default_factory=Counter)
    oldest: str | None = None
    items: list[dict[str, Any]] = field(default_factory=list)


def survey(uri: str, queue: str, selection: Selection) -> Survey:
    """Look through the whole queue (its first 10 000 letters), and leave it as it was.

    Raises NotFound when there is no such queue.
    """
    found = Survey(queue)
    selected = Selection(selection.id, selection.reason)
    with opened(uri, queue) as box:
        found.count = box.count
        for letter in selected.of(_counted(box.letters(), found)):
            found.reasons[letter.reason] += 1
            found.oldest = min(filter(None, (found.oldest, letter.at)), default=None)
            if selection.limit is None or len(found.items) < selection.limit:
                found.items.append(letter.summary())
    return found


def _counted(letters: Iterator[Letter], found: Survey) -> Iterator[Letter]:
    for letter in letters:
        found.seen += 1
        yield letter


def read(uri: str, queue: str, selection: Selection) -> Iterator[Letter]:
    """The selected letters with their bodies; once all are read, the queue is as it was."""
    with opened(uri, queue) as box:
        yield from selection.of(box.letters())


def discard(uri: str, queue: str, selection: Selection) -> int:
    """Take the selected letters off the queue for good; returns how many."""
    with opened(uri, queue) as box:
        for letter in selection.of(box.letters()):
            box.remove(letter)
        return box.removed


@dataclass
class SentAgain:
    """`failure` says why it ended early, or is empty; what was not sent is in the queue as before."""

    sent: int = 0
    failure: str = ""


def send_again(uri: str, queue: str, selection: Selection, body: bytes | None = None) -> SentAgain:
    """Put the selected letters back onto the queue that they came from, and no other, with `body` in place of theirs.

    Each is confirmed there before it leaves this one: who is killed half way has sent one twice at most, which the
    handlers bear. Raises Unavailable when the broker does not confirm.
    """
    publisher = ConfirmingPublisher(uri)
    publisher.start()
    result = SentAgain()
    try:
        with opened(uri, queue) as box:
            for letter in selection.of(box.letters()):
                try:
                    _publish(publisher, work(queue), letter, letter.body if body is None else body)
                except Unroutable:
                    result.failure = f"There is no queue {work(queue)} to send to: its service declares it at start."
                    return result
                box.remove(letter)
                result.sent += 1
            return result
    finally:
        publisher.stop()


def _publish(publisher: ConfirmingPublisher, queue: str, letter: Letter, body: bytes) -> None:
    properties = letter.properties
    publisher.publish(
        "",
        queue,
        body,
        headers=letter.headers_again(),
        content_type=properties.get("content_type") or JSON,
        content_encoding=properties.get("content_encoding") or "utf-8",
        timeout=CONFIRM_LIMIT_S,
        timestamp=properties.get("timestamp"),
        message_id=properties.get("message_id"),
        correlation_id=properties.get("correlation_id"),
    )
