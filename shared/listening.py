"""Listening sockets of this process's own, and one that several processes have inherited."""

import os
import socket
import stat
from typing import Any

from eventlet import greenio, patcher
from eventlet.green import socket as green_socket

from shared.config import ConfigurationError

# Beyond it clients are not refused but kept waiting, for seconds; the kernel allows net.core.somaxconn at most.
BACKLOG = 4096
# Green ones take any descriptor for IPv4's.
plain_socket = patcher.original("socket").socket


def listen(address: tuple[str, int], setting: str = "GATEWAY_ADDRESS") -> Any:
    """A listening green socket, without SO_REUSEPORT; raises ConfigurationError when the address cannot be had."""
    host, port = address
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    sock = green_socket.socket(family, socket.SOCK_STREAM)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        sock.bind((host, port))
        sock.listen(BACKLOG)
    except OSError as error:
        sock.close()
        raise ConfigurationError(
            f"Cannot listen on {host}:{port}: {error.strerror or error}. "
            f"Another process may hold it (see: ss -ltnp 'sport = :{port}'); choose another with {setting}."
        ) from None
    sock.settimeout(None)
    return sock


def adopt(descriptor: int) -> Any:
    """The listening TCP socket at `descriptor` as a green socket; raises ConfigurationError when it is none.

    Closing it is this process's affair only: the others that have inherited it go on accepting.
    """
    if not _listens(descriptor):
        raise ConfigurationError(f"GATEWAY_SOCKET_FD: file descriptor {descriptor} is no listening TCP socket.")
    sock = greenio.GreenSocket(plain_socket(fileno=descriptor))
    sock.settimeout(None)
    return sock


def has_input(sock: Any) -> bool:
    """Whether a connected green socket has bytes to read."""
    try:
        return bool(sock.fd.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT))
    except OSError:
        return False


def _listens(descriptor: int) -> bool:
    try:
        if not stat.S_ISSOCK(os.fstat(descriptor).st_mode):
            return False
    except OSError:
        return False
    # a copy, so that what is none of ours stays open
    with plain_socket(fileno=os.dup(descriptor)) as probe:
        is_tcp = probe.family in (socket.AF_INET, socket.AF_INET6) and probe.type == socket.SOCK_STREAM
        return is_tcp and bool(probe.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN))
