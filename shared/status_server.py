"""What a process says of itself over HTTP, on a port of its own: `GET /metrics` and `GET /health`.

It answers from the first moment, before broker and database are there, and whatever is away later. It is no way in:
few connections at once, each for a few seconds, and nothing is read but a request line and headers.
"""

import json
import logging
from collections.abc import Callable, Iterable
from typing import Any

import eventlet
from eventlet import wsgi
from prometheus_client import make_wsgi_app

from shared.health import Health
from shared.listening import listen
from shared.metrics import REGISTRY

log = logging.getLogger(__name__)

MAX_CONNECTIONS = 16
CONNECTION_LIMIT_S = 10.0
SILENCE_LIMIT_S = 5.0
Json = dict[str, Any]


class StatusApp:
    """The WSGI application; takes GET of its two addresses, and nothing else."""

    def __init__(self, health: Health) -> None:
        self._health = health
        self._metrics: Callable[..., Iterable[bytes]] = make_wsgi_app(REGISTRY)

    def __call__(self, environ: Json, start_response: Callable[..., Any]) -> Iterable[bytes]:
        path = environ["PATH_INFO"]
        if path not in ("/metrics", "/health"):
            return _answer(start_response, "404 Not Found", {"status": 404, "title": "Not Found"})
        if environ["REQUEST_METHOD"] != "GET":
            problem = {"status": 405, "title": "Method Not Allowed"}
            return _answer(start_response, "405 Method Not Allowed", problem, [("Allow", "GET")])
        if path == "/metrics":
            return self._metrics(environ, start_response)
        report = self._health.report()
        return _answer(start_response, "200 OK" if report["status"] == "ok" else "503 Service Unavailable", report)


def _answer(
    start_response: Callable[..., Any], status: str, body: Json, headers: Iterable[tuple[str, str]] = ()
) -> Iterable[bytes]:
    data = json.dumps(body).encode()
    start_response(
        status,
        [
            ("Content-Type", "application/json"),
            ("Content-Length", str(len(data))),
            ("Cache-Control", "no-store"),
            *headers,
        ],
    )
    return [data]


class StatusServer:
    """Listens from its making on; raises ConfigurationError when the address cannot be had."""

    def __init__(self, address: tuple[str, int], health: Health) -> None:
        self._socket = listen(address, "METRICS_ADDRESS")
        self._server = wsgi.Server(
            self._socket,
            self._socket.getsockname(),
            StatusApp(health),
            keepalive=False,
            socket_timeout=SILENCE_LIMIT_S,
            log_output=False,
            debug=False,
        )
        self._connections = 0
        self._main = eventlet.spawn(self._run)

    @property
    def address(self) -> tuple[str, int]:
        """Host and port where it listens."""
        host, port = self._socket.getsockname()[:2]
        return host, port

    def close(self) -> None:
        self._main.kill()
        self._socket.close()

    def _run(self) -> None:
        while True:
            try:
                client, address = self._socket.accept()
            except OSError as error:
                log.warning("no connection can be accepted", extra={"reason": str(error)})
                eventlet.sleep(0.1)
                continue
            if self._connections >= MAX_CONNECTIONS:
                client.close()
                continue
            self._connections += 1
            eventlet.spawn_n(self._serve, client, address)

    def _serve(self, client: Any, address: Any) -> None:
        try:
            client.settimeout(SILENCE_LIMIT_S)
            # A client that sends a byte now and then is never silent, and still no guest for ever.
            with eventlet.Timeout(CONNECTION_LIMIT_S, False):
                self._server.process_request([address, client, wsgi.STATE_REQUEST])
        except OSError as error:
            log.debug("connection lost", extra={"reason": repr(error)})
        except Exception:  # one request's defect is no reason to answer none any more
            log.exception("a status request failed")
        finally:
            client.close()
            self._connections -= 1
