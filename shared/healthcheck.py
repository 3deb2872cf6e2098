"""`python -m shared.healthcheck`: exit code 0 if the process of METRICS_ADDRESS in this container is healthy, else 1.

For a container's health check. It needs the standard library only, for it runs every few seconds.
"""

import http.client
import os
import signal
import sys
from collections.abc import Mapping
from typing import Any

from shared.config import ConfigurationError
from shared.status_address import reachable, status_address

LIMIT_S = 3.0


def check(environ: Mapping[str, str]) -> tuple[bool, str]:
    """Whether `/health` answers 200, and what it says."""
    try:
        address = status_address(environ)
    except ConfigurationError as error:
        return False, str(error)
    if address is None:
        return False, "METRICS_ADDRESS is not set: the process answers nowhere."
    host, port = address
    connection = http.client.HTTPConnection(reachable(host), port, timeout=LIMIT_S)
    try:
        connection.request("GET", "/health", headers={"Connection": "close"})
        response = connection.getresponse()
        return response.status == http.client.OK, response.read(10_000).decode("utf-8", "replace")
    except (OSError, http.client.HTTPException) as error:
        return False, f"no answer: {error!r}"
    finally:
        connection.close()


def limit_time() -> None:
    """Let what this process waits for fail after LIMIT_S seconds in all."""
    # The limit of a socket begins anew with each byte; this one does not.
    signal.signal(signal.SIGALRM, _too_late)
    signal.setitimer(signal.ITIMER_REAL, LIMIT_S)


def _too_late(signum: int, frame: Any) -> None:
    raise TimeoutError("no answer in time")


def main() -> int:
    limit_time()
    healthy, says = check(os.environ)
    print(says)
    return 0 if healthy else 1


if __name__ == "__main__":
    sys.exit(main())
