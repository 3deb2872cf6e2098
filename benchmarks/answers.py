"""Whether the answers are right: those of two stacks alike before the load, and the right one for each under it."""

import contextlib
import datetime as dt
import threading
from collections.abc import Iterator, Sequence
from typing import Any

import requests

from benchmarks.errors import BenchmarkError
from infrastructure.local import loopback

# Some twenty a second cost nothing beside thousands.
PROBE_PAUSE_S = 0.05
TIMEOUT_S = 20


def get(session: requests.Session, url: str) -> Any:
    """The JSON of a 200; raises BenchmarkError for anything else."""
    try:
        answer = session.get(url, timeout=TIMEOUT_S)
    except requests.RequestException as error:
        raise BenchmarkError(f"{url}: {error!r}") from None
    if answer.status_code != requests.codes.ok:
        raise BenchmarkError(f"{url}: {answer.status_code} {answer.text[:300]}")
    return answer.json()


def check_alike(one: str, other: str, paths: Sequence[str]) -> None:
    """Raises BenchmarkError unless both gateways answer each path alike; the times at which bikes were made differ."""
    with loopback.session() as session:
        for path in paths:
            ours, theirs = (normal(get(session, url + path)) for url in (one, other))
            if ours != theirs:
                raise BenchmarkError(f"{path}: {ours} is not {theirs}")


def normal(value: Any) -> Any:
    """The value with times and numbers in one form, and without the times that differ between stacks."""
    if isinstance(value, dict):
        return {name: normal(member) for name, member in value.items() if name not in ("created_at", "updated_at")} | (
            {"located_at": value["located_at"] is not None} if "located_at" in value else {}
        )
    if isinstance(value, list):
        return [normal(member) for member in value]
    if isinstance(value, str):
        with contextlib.suppress(ValueError):
            return dt.datetime.fromisoformat(value)
        return value
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else value


@contextlib.contextmanager
def probing(url: str, bikes: Sequence[str]) -> Iterator[None]:
    """While the block runs, ask for one bike after the other: each answer must be about just that bike.

    wrk does not know which answer belongs to which request; this does. Raises BenchmarkError at the block's end.
    """
    ended, wrong = threading.Event(), list[BenchmarkError]()

    def ask() -> None:
        with loopback.session() as session:
            for bike in bikes:
                if ended.wait(PROBE_PAUSE_S):
                    return
                found = get(session, f"{url}/v1/bikes/{bike}")
                if found.get("id") != bike:
                    raise BenchmarkError(f"asked for bike {bike} this came back: {str(found)[:300]}")

    def work() -> None:
        try:
            ask()
        except BenchmarkError as error:
            wrong.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()
    if wrong:
        raise wrong[0]
