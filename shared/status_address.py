"""Where a process answers for its status: METRICS_ADDRESS, with the process's number added to the port."""

from collections.abc import Mapping

from shared import config

WILDCARDS = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - compared, not bound
MAX_PROCESSES = 1000


def process_number(environ: Mapping[str, str]) -> int | None:
    """`PROCESS_NUMBER`: which of several processes of a service this is, from 0 on; None when it is not set."""
    if not environ.get("PROCESS_NUMBER", "").strip():
        return None
    return config.whole_number(environ, "PROCESS_NUMBER", 0, 0, MAX_PROCESSES)


def status_address(environ: Mapping[str, str]) -> tuple[str, int] | None:
    """Host and port, None when METRICS_ADDRESS is not set; raises ConfigurationError."""
    if not environ.get("METRICS_ADDRESS", "").strip():
        return None
    host, port = config.address(environ, "METRICS_ADDRESS", "127.0.0.1:9464")
    number = process_number(environ) or 0
    if port + number > config.MAX_PORT:
        raise config.ConfigurationError(
            f"METRICS_ADDRESS: port {port} and PROCESS_NUMBER {number} add up to more than {config.MAX_PORT}."
        )
    return host, port + number


def reachable(host: str) -> str:
    """The address under which this machine reaches a server that listens on `host`."""
    return WILDCARDS.get(host, host)
