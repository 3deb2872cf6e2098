"""The HTTP server behind `shared.http`: nameko's WebServer with bounds, and a drain before it stops.

Nameko's listens with SO_REUSEPORT (a forgotten old gateway silently keeps a share of the traffic), accepts while
the container waits for its workers, and dies of a client's reset connection.
"""

import errno
import logging
import resource
import sys
import time
from functools import partial
from typing import Any

import eventlet
from eventlet import greenio, wsgi
from eventlet.event import Event
from nameko.constants import WEB_SERVER_CONFIG_KEY
from nameko.web.server import WebServer, parse_address

from shared.http_app import HttpApp
from shared.http_policy import HttpPolicy
from shared.http_protocol import StrictProtocol
from shared.listening import adopt, has_input, listen

log = logging.getLogger(__name__)

MAX_CONNECTIONS = 1000
SPARE_FILES = 64
SOCKET_TIMEOUT_S = 30
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
        self._connections: dict[int, list[Any]] = {}
        self._room = eventlet.Semaphore(1)
        self._drained: Event | None = None
        self.policy = HttpPolicy()

    @property
    def bind_addr(self) -> Any:
        return parse_address(self.container.config.get(WEB_SERVER_CONFIG_KEY, DEFAULT_ADDRESS))

    @property
    def is_draining(self) -> bool:
        return self._drained is not None

    def setup(self) -> None:
        self.policy = self.container.config.get("HTTP_POLICY") or self.policy
        files = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
        self._room = eventlet.Semaphore(max(min(MAX_CONNECTIONS, files - SPARE_FILES), 1))

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
            if self._room.locked():
                self._close_an_idle()
            self._room.acquire()
            try:
                sock, address = self._sock.accept()
            except OSError as error:
                self._room.release()
                if error.errno in EXHAUSTED:
                    log.warning("no connection can be accepted", extra={"reason": str(error)})
                    self._close_an_idle()
                    eventlet.sleep(0.1)
                elif error.errno not in ABORTED:
                    raise
                continue
            sock.settimeout(SOCKET_TIMEOUT_S)
            state = [address, sock, wsgi.STATE_IDLE, time.monotonic()]
            self._connections[id(state)] = state
            self.container.spawn_managed_thread(partial(self._serve, state), identifier="http_connection")

    def _serve(self, state: list[Any]) -> None:
        try:
            self._serv.process_request(state)
        except OSError as error:
            log.debug("connection lost", extra={"reason": repr(error)})
        except Exception:
            # An exception that leaves a managed thread ends the container.
            log.exception("a connection failed")
        finally:
            state[1].close()
            self._connections.pop(id(state), None)
            self._room.release()

    def _close_an_idle(self) -> None:
        for state in self._connections.values():
            if state[2] == wsgi.STATE_IDLE and not has_input(state[1]):
                state[2] = wsgi.STATE_CLOSE
                greenio.shutdown_safe(state[1])
                return

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
        with eventlet.Timeout(DRAIN_S, False):
            while self._connections:
                fresh_since = time.monotonic() - FRESH_S
                for state in list(self._connections.values()):
                    if state[2] == wsgi.STATE_IDLE and state[3] < fresh_since and not has_input(state[1]):
                        state[2] = wsgi.STATE_CLOSE
                        greenio.shutdown_safe(state[1])
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
