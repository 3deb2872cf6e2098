"""TCP ports on the loopback interface: which are free, and who holds one."""

import random
import socket

import psutil

# Below the range from which the kernel takes the ports of outgoing connections.
FIRST, LAST = 20000, 31999


def is_free(port: int, host: str = "127.0.0.1") -> bool:
    """Whether one can listen on the port. Raises OSError for a host that is none of this machine's."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        # Not SO_REUSEPORT: a listener that has set it must be seen as well.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
            probe.listen(1)
        except OSError as error:
            if error.errno in (98, 48):  # EADDRINUSE of Linux, of macOS
                return False
            raise
    return True


def choose(remembered: int | None = None, taken: frozenset[int] = frozenset()) -> int:
    """The remembered port if it is free, else another free one that is not in `taken`."""
    if remembered and remembered not in taken and is_free(remembered):
        return remembered
    while True:
        port = random.randint(FIRST, LAST)  # noqa: S311 (not a secret)
        if port not in taken and is_free(port):
            return port


def choose_run(count: int, remembered: int | None, taken: frozenset[int]) -> int:
    """The first of `count` free ports in a row, none of them in `taken`: the remembered one again if that is one."""
    first = remembered or random.randint(FIRST, LAST - count)  # noqa: S311 (not a secret)
    while not all(port not in taken and is_free(port) for port in range(first, first + count)):
        first = random.randint(FIRST, LAST - count)  # noqa: S311
    return first


def choose_all(names: list[str], remembered: dict[str, int]) -> dict[str, int]:
    """A free port for each name, the remembered ones again where they are free, no two the same."""
    ports: dict[str, int] = {}
    for name in names:
        ports[name] = choose(remembered.get(name), frozenset(ports.values()))
    return ports


def holder(port: int) -> str | None:
    """`pid 123 (its command line)` of who listens on the port; None where that cannot be seen."""
    try:
        connections = psutil.net_connections("tcp")
    except psutil.Error:
        return None
    for connection in connections:
        if connection.status == psutil.CONN_LISTEN and connection.laddr.port == port and connection.pid:
            try:
                command = " ".join(psutil.Process(connection.pid).cmdline())
            except psutil.Error:
                continue
            return f"pid {connection.pid} ({command[:120]})"
    return None
