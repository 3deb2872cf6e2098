"""Whose a call is that travels with others: its request, its trace, how long it is waited for.

What is done for one of many calls (an event, a further call) belongs to that call's request and not to the first
one's. The lists travel in headers, an entry for each call; see `shared.rpc_batch`.
"""

from collections.abc import Sequence
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

DEADLINES, REQUEST_IDS, TRACEPARENTS = "deadlines", "request_ids", "traceparents"
HEADERS = (DEADLINES, REQUEST_IDS, TRACEPARENTS)


@dataclass(frozen=True, slots=True)
class Origin:
    """Of one call; `deadline` is Unix time, in seconds."""

    request_id: str | None = None
    traceparent: str | None = None
    deadline: float | None = None


_origins: ContextVar[Sequence[Origin]] = ContextVar("origins", default=())
# Whether the only call is the one that the message's own context is of, so that the worker's trace is its trace.
_is_alone: ContextVar[bool] = ContextVar("is_alone", default=False)


def take(context: dict[str, Any]) -> None:
    """Let the calls of this greenlet's worker have the origins in `context`; they are not for what the worker calls."""
    lists = [context.pop(name, None) or [] for name in HEADERS]
    is_whole = len({len(each) for each in lists}) == 1
    origins = tuple(map(Origin, *(map(_or_none, each) for each in lists[1:]), lists[0])) if is_whole else ()
    _origins.set(origins)
    _is_alone.set(len(origins) == 1 and origins[0].request_id == context.get("request_id"))


def request_ids() -> list[str]:
    """Of the worker's calls, if they came together."""
    return [origin.request_id or "" for origin in _origins.get()]


def current(count: int) -> Sequence[Origin | None]:
    """The origin of each of the worker's `count` calls; None for each where it is the worker's own."""
    origins = _origins.get()
    return [None] * count if _is_alone.get() or len(origins) != count else origins


def headers(origins: Sequence[Origin]) -> dict[str, list[Any]]:
    """What goes along with calls of these origins."""
    return {
        DEADLINES: [origin.deadline for origin in origins],
        REQUEST_IDS: [origin.request_id or "" for origin in origins],
        TRACEPARENTS: [origin.traceparent or "" for origin in origins],
    }


def _or_none(text: str) -> str | None:
    return text or None
