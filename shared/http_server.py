"""The HTTP server behind `shared.http`: nameko's WebServer with bounds, and a drain before it stops.

Nameko's listens with SO_REUSEPORT (a forgotten old gateway silently keeps a share of the traffic), accepts while
the container waits for its workers, and dies of a client's reset connection.
"""

import errno
import logging
import socket
import sys
from collections.abc import Callable
from functools import partial
from typing import Any

import eventlet
from eventlet import wsgi
from eventlet.event import Event
from eventlet.hubs import trampoline
from nameko.constants import WEB_SERVER_CONFIG_KEY
from nameko.web.server import WebServer, parse_address

from shared.http_app import HttpApp
from shared.http_connections import Connection, Connections
from shared.http_policy import HttpPolicy
from shared.http_protocol import StrictProtocol
from shared.listening import adopt, listen

log = logging.getLogger(__name__)

SOCKET_TIMEOUT_S = 30
# The kernel's own choice grows to megabytes, which it takes many answers to fill that nobody reads.
SEND_BUFFER = 1 << 17
KEEP_ALIVE_S = 75
DRAIN_S = 7
# A connection that is younger than this has a request on its way, even when nothing of it is there yet.
FRESH_S = 1.0
DEFAULT_ADDRESS = "127.0.0.1:8000"
# The process is out of something that closing connections gives back.
EXHAUSTED = {errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM}
ABORTED = {errno.ECONNABORTED, errno.EPROTO, errno.EINTR, errno.EAGAIN}


class ConnectionLog:
    """What eventlet's server logs: a client that went away is no news, anything else is a defect."""

    def info(self, message: str, *args: Any) -> None:
        error = sys.exc_info()[1]
        if error is None or isinstance(error, OSError | eventlet.Timeout | wsgi.ChunkReadError):
            log.debug(message, *args)
        else:
            log.error("a response could not be sent", exc_info=True)

    debug = error = info


class HttpServer(WebServer):
    """One listening socket per container, shared by its HTTP entrypoints.

    Container configuration: `WEB_SERVER_ADDRESS` (host:port), or `WEB_SERVER_SOCKET_FD` (a listening socket that this
    process has inherited, and shares with others); `HTTP_POLICY` (`shared.http_policy.HttpPolicy`).
    """

    _starting: bool

    def __init__(self) -> None:
        super().__init__()
        self._connections = Connections()
        self._drained: Event | None = None
        self._on_drain: list[Callable[[], None]] = []
        self.policy = HttpPolicy()

    @property
    def bind_addr(self) -> Any:
        return parse_address(self.container.config.get(WEB_SERVER_CONFIG_KEY, DEFAULT_ADDRESS))

    @property
    def is_draining(self) -> bool:
        return self._drained is not None

    def when_draining(self, action: Callable[[], None]) -> None:
        """Call `action` when the drain begins."""
        self._on_drain.append(action)

    def setup(self) -> None:
        self.policy = self.container.config.get("HTTP_POLICY") or self.policy

    def start(self) -> None:
        if self._starting:
            return
        self._starting = True
        inherited = self.container.config.get("WEB_SERVER_SOCKET_FD")
        self._sock = listen(self.bind_addr) if inherited is None else adopt(inherited)
        self._serv = wsgi.Server(
            self._sock,
            self._sock.getsockname(),
            HttpApp(self),
            protocol=StrictProtocol,
            keepalive=KEEP_ALIVE_S,
            socket_timeout=SOCKET_TIMEOUT_S,
            log_output=False,
            log_x_forwarded_for=False,
            debug=False,
        )
        self._serv.log = ConnectionLog()
        # Names stay as they are written (X-Request-ID); as an argument it would warn.
        self._serv.capitalize_response_headers = False
        self._gt = self.container.spawn_managed_thread(self.run, identifier="http_accept")
        log.info("listening", extra={"address": "{}:{}".format(*self._sock.getsockname()[:2])})

    def run(self) -> None:
        """Accept connections, no more at once than there is room for."""
        while True:
            # Nobody has to make way before there is somebody to make way for.
            trampoline(self._sock, read=True)
            self._connections.wait_for_room()
            try:
                sock, address = self._sock.accept()
            except OSError as error:
                self._connections.room.release()
                if error.errno in EXHAUSTED:
                    log.warning("no connection can be accepted", extra={"reason": str(error)})
                    self._connections.close_one()
                    eventlet.sleep(0.1)
                elif error.errno not in ABORTED:
                    raise
                continue
            sock.settimeout(SOCKET_TIMEOUT_S)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER)
            connection = self._connections.add(address, sock)
            self.container.spawn_managed_thread(partial(self._serve, connection), identifier="http_connection")

    def _serve(self, connection: Connection) -> None:
        try:
            self._serv.process_request(connection)
        except OSError as error:
            log.debug("connection lost", extra={"reason": repr(error)})
        except Exception:
            # An exception that leaves a managed thread ends the container.
            log.exception("a connection failed")
        finally:
            connection[1].close()
            self._connections.remove(connection)

    def drain(self) -> None:
        """Accept no more, close what is idle, and return once what runs is answered, in 7 s at most.

        Entrypoints call this when they stop: then the container still has its dependencies.
        """
        if self._drained is not None:
            self._drained.wait()
            return
        self._drained = Event()
        if self._gt is not None:
            self._gt.kill()
        if self._sock is not None:
            self._sock.close()
        for action in self._on_drain:
            action()
        with eventlet.Timeout(DRAIN_S, False):
            while self._connections:
                self._connections.close_idle(FRESH_S)
                eventlet.sleep(0.02)
        if self._connections:
            log.warning("requests were still running", extra={"connections": len(self._connections)})
        self._drained.send(None)

    def stop(self) -> None:
        self.drain()
        self.wait_for_providers()

    def kill(self) -> None:
        if self._sock is not None:
            self._sock.close()
