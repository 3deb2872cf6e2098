"""Posting bodies that are known beforehand, each once, over a few connections; every answer is kept."""

import http.client
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from benchmarks.errors import BenchmarkError


@dataclass
class Posted:
    """`accepted`: indexes of the bodies that got the status asked for; `seconds` of each request."""

    accepted: list[int] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)


def post_all(
    url: str, path: str, headers: Mapping[str, str], bodies: Sequence[bytes], connections: int, limit_s: float,
    status: int,
) -> Posted:  # fmt: skip
    """Post the bodies in turn until they are all posted or the time is over; what has begun is finished.

    Raises BenchmarkError for any other status or a broken connection.
    """
    posted, remaining, lock = Posted(), iter(range(len(bodies))), threading.Lock()
    until, failures = time.monotonic() + limit_s, list[str]()
    parts = urlsplit(url)

    def work() -> None:
        connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=60)
        try:
            while time.monotonic() < until and not failures:
                with lock:
                    index = next(remaining, None)
                if index is None:
                    return
                started = time.monotonic()
                connection.request("POST", path, bodies[index], dict(headers))
                answer = connection.getresponse()
                body = answer.read()
                if answer.status != status:
                    failures.append(f"{path}: {answer.status} {body[:300]!r}")
                    return
                with lock:
                    posted.accepted.append(index)
                    posted.seconds.append(time.monotonic() - started)
        except (OSError, http.client.HTTPException) as error:
            failures.append(f"{path}: {error!r}")
        finally:
            connection.close()

    threads = [threading.Thread(target=work) for _ in range(connections)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failures:
        raise BenchmarkError(failures[0])
    return posted
