"""Whether the chosen services are ready: what the gateway says of them, or they themselves where there is none."""

import json
import warnings
from collections.abc import Iterable
from dataclasses import dataclass
from importlib import import_module

from amqp.exceptions import NotFound

from infrastructure.local import loopback
from infrastructure.programs import GATEWAY

CALL_LIMIT_S = 3.0


@dataclass(frozen=True)
class Readiness:
    """`text` says in a line how it stands."""

    ready: bool
    text: str


def look(services: Iterable[str], gateway_url: str, amqp_uri: str) -> Readiness:
    """How it stands with `services`; a service that was not chosen may be away."""
    others = [name for name in services if name != GATEWAY]
    if GATEWAY in services:
        return judge(others, loopback.health(gateway_url))
    failed = {name: problem for name in others if (problem := ask(name, amqp_uri))}
    text = ", ".join(f"{name} {failed.get(name, 'ok')}" for name in others)
    return Readiness(not failed, text)


def judge(services: Iterable[str], health: loopback.Health) -> Readiness:
    """Whether the broker and `services` are all right, by the gateway's `/health`."""
    try:
        checks = json.loads(health.body)["checks"]
        ready = all(checks[name] == "ok" for name in ("broker", *services))
    except (ValueError, TypeError, KeyError):
        ready = False
    return Readiness(ready, f"/health: {health.text}")


def ask(service: str, amqp_uri: str) -> str | None:
    """Call the service's `health`; None when it is well, else what is wrong."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=r"\s*Eventlet is deprecated")
        rpc, exceptions = import_module("nameko.standalone.rpc"), import_module("nameko.exceptions")
    amqp, errors = import_module("shared.amqp"), import_module("shared.errors")
    config = {"AMQP_URI": amqp_uri, "serializer": "json"}
    try:
        # there while the service consumes; a call to nobody would leave a reply queue behind each time
        with amqp.connection(amqp_uri) as connection:
            connection.default_channel.queue_declare(f"rpc-{service}", passive=True)
        with rpc.ServiceRpcProxy(service, config, timeout=CALL_LIMIT_S) as proxy:
            proxy.health()
    except (NotFound, exceptions.UnknownService):
        return "not there"
    except (exceptions.RpcTimeout, exceptions.RemoteError, errors.DomainError, *amqp.BROKER_ERRORS) as error:
        return str(error) or type(error).__name__
    return None
