"""The stack that the demo shows: the one that runs, else one that it starts as `make up` does."""

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import requests

from replay import connection

ROOT = Path(__file__).parents[1]
ALL = "gateway bike trip"
HEALTHY_WITHIN_S = 5.0


class StackError(Exception):
    """The stack did not start; what started it has said why."""


def ensure(gateway: str | None, environ: Mapping[str, str]) -> None:
    """Returns when all services of the stack are there. A gateway that somebody has named is not ours to start.

    Raises StackError, ConnectionSettingsError.
    """
    if gateway or environ.get("GATEWAY_URL") or environ.get("STACK_ENV") or _is_up(environ):
        return
    command = [sys.executable, "-m", "infrastructure.local", "up"]
    # SERVICES adds what is missing to a stack that runs with fewer
    code = subprocess.call(command, cwd=ROOT, env={**os.environ, "SERVICES": environ.get("SERVICES") or ALL})  # noqa: S603
    if code != 0:
        raise StackError("the stack did not start: see above")


def _is_up(environ: Mapping[str, str]) -> bool:
    if not connection.written_by_a_stack(environ).exists():
        return False
    url = connection.find(None, environ).gateway_url
    try:
        with requests.Session() as session:
            session.trust_env = False
            return session.get(f"{url}/health", timeout=HEALTHY_WITHIN_S).status_code == 200
    except requests.RequestException:
        return False
