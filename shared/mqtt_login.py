"""`python -m shared.mqtt_login`: answers RabbitMQ, which asks here whether a bike may come in over MQTT.

A process of its own on MQTT_LOGIN_ADDRESS, which only the broker needs to reach. It has the tokens' key and no way
into broker or database: what it is asked, a token answers. While it is away no bike can log in; the services, whose
users the broker knows itself, are not touched.
"""

import eventlet

eventlet.monkey_patch()

import logging  # noqa: E402
import os  # noqa: E402
import signal  # noqa: E402
import sys  # noqa: E402
from collections.abc import Callable, Iterable, Mapping  # noqa: E402
from typing import Any  # noqa: E402
from urllib.parse import parse_qsl  # noqa: E402

from eventlet import wsgi  # noqa: E402

from shared import config, metrics, token_settings  # noqa: E402
from shared import log as logs  # noqa: E402
from shared.config import ConfigurationError  # noqa: E402
from shared.errors import Unavailable  # noqa: E402
from shared.health import Health  # noqa: E402
from shared.listening import listen  # noqa: E402
from shared.mqtt_access import ALLOW, MqttAccess  # noqa: E402
from shared.mqtt_login_metrics import ANSWERS  # noqa: E402
from shared.status_address import status_address  # noqa: E402
from shared.status_server import StatusServer  # noqa: E402

log = logging.getLogger(__name__)

NAME = "mqtt_login"
EXAMPLE = "127.0.0.1:8001"
# A form holds a token and a topic's name, which MQTT limits to 64 KiB.
MAX_FORM = 256 * 1024
MAX_CONNECTIONS = 200
SILENCE_LIMIT_S = 5.0

StartResponse = Callable[..., Any]


class LoginApp:
    """The WSGI application: `POST /<question>` with a form, answered by `allow` or `deny`."""

    def __init__(self, access: MqttAccess) -> None:
        self._questions = access.questions

    def __call__(self, environ: dict[str, Any], start_response: StartResponse) -> Iterable[bytes]:
        name = environ["PATH_INFO"].removeprefix("/")
        question = self._questions.get(name)
        if question is None or environ["REQUEST_METHOD"] != "POST":
            return _answer(start_response, "404 Not Found", "there is no such question")
        length = environ.get("CONTENT_LENGTH") or ""
        if not length.isdigit() or int(length) > MAX_FORM:
            return _answer(start_response, "413 Content Too Large", "no form, or one that is too long")
        raw = environ["wsgi.input"].read(int(length)).decode("utf-8", "replace")
        form = dict(parse_qsl(raw, keep_blank_values=True))
        try:
            answer = question(form)
        except Unavailable as error:
            log.warning("a question cannot be answered", extra={"question": name, "reason": str(error)})
            ANSWERS.labels(name, "unavailable").inc()
            return _answer(start_response, "503 Service Unavailable", "not now")
        allowed = answer.startswith(ALLOW)
        ANSWERS.labels(name, "allowed" if allowed else "denied").inc()
        if not allowed:
            log.info("denied", extra={"question": name, "routing_key": form.get("routing_key", "")[:200]})
        return _answer(start_response, "200 OK", answer)


def _answer(start_response: StartResponse, status: str, text: str) -> Iterable[bytes]:
    start_response(status, [("Content-Type", "text/plain"), ("Content-Length", str(len(text)))])
    return [text.encode()]


def application(environ: Mapping[str, str]) -> LoginApp:
    """By the settings of tokens, and MQTT_VHOST; raises ConfigurationError."""
    return LoginApp(MqttAccess(token_settings.verifier(environ), config.text(environ, "MQTT_VHOST", "/")))


def serve(app: LoginApp, sock: Any) -> None:
    """Answer until the socket is closed."""
    # RabbitMQ 3.10 takes the end of an old connection for a refusal: each has one use
    wsgi.server(
        sock, app, keepalive=False, socket_timeout=SILENCE_LIMIT_S, max_size=MAX_CONNECTIONS, log_output=False,
        debug=False,
    )  # fmt: skip


def main() -> int:
    """Command line; returns the exit code: 2 for a wrong setting."""
    try:
        logs.configure(NAME, config.log_level(os.environ))
        app = application(os.environ)
        sock = listen(config.address(os.environ, "MQTT_LOGIN_ADDRESS", EXAMPLE), "MQTT_LOGIN_ADDRESS")
        address = status_address(os.environ)
        if address is not None:
            metrics.set_build_info(NAME)
            health = Health()
            health.started({})
            StatusServer(address, health)
    except ConfigurationError as error:
        print(f"{NAME}: {error}", file=sys.stderr)
        return 2
    # An answer takes no time, and the broker asks again at a bike's next try: there is nothing to finish.
    for each in (signal.SIGTERM, signal.SIGINT):
        signal.signal(each, lambda number, frame: os._exit(0))
    log.info("started")
    serve(app, sock)
    return 0


if __name__ == "__main__":
    sys.exit(main())
