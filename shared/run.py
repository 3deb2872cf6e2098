"""Runs one service: `python -m shared.run SERVICE`.

Instead of `nameko run`, because a service in production also reads and checks its settings from the environment,
waits for broker and database with a limit, migrates, logs JSON, and ends within a bound when told to: nameko's own
runner waits for ever on a consumer or a call that cannot finish.
"""

import eventlet

eventlet.monkey_patch()

from shared import green_postgres  # noqa: E402

green_postgres.install()

import contextlib  # noqa: E402
import importlib  # noqa: E402
import importlib.util  # noqa: E402
import logging  # noqa: E402
import os  # noqa: E402
import signal  # noqa: E402
import sys  # noqa: E402
from collections.abc import Mapping  # noqa: E402
from dataclasses import dataclass  # noqa: E402
from typing import Any  # noqa: E402

from nameko.containers import ServiceContainer  # noqa: E402

from shared import config as settings  # noqa: E402
from shared import garbage, metrics, migrate, tracing_setup  # noqa: E402
from shared import log as logs  # noqa: E402
from shared.health import Health, checks_of  # noqa: E402
from shared.status_address import process_number, status_address  # noqa: E402
from shared.status_server import StatusServer  # noqa: E402
from shared.topology import TopologyMismatch  # noqa: E402
from shared.wait import DEFAULT_LIMIT_S, WaitedTooLong, wait_for_broker, wait_for_database  # noqa: E402

log = logging.getLogger(__name__)

DRAIN_LIMIT_S = 8.0
# The hub does not notice a signal while it waits for a socket; this wakes it up.
WAKE_S = 0.25
# A worker mostly waits, for a reply or a database; what is more than this waits in its queue.
DEFAULT_MAX_WORKERS = 100


@dataclass(frozen=True)
class Service:
    """A service's class with the configuration for its container."""

    name: str
    cls: type
    config: dict[str, Any]


def load_service(name: str, environ: Mapping[str, str]) -> Service:
    """`<name>.settings` and `<name>.service`; raises ConfigurationError when there are none, or they are wrong."""
    if not _is_service(name):
        raise settings.ConfigurationError(f"there is no service {name!r}")
    config: dict[str, Any] = {
        "AMQP_URI": settings.amqp_uri(environ),
        "serializer": "json",
        "max_workers": settings.whole_number(environ, "MAX_WORKERS", DEFAULT_MAX_WORKERS, 1, 10_000),
        **_own_config(name, environ),
    }
    module = importlib.import_module(f"{name}.service")
    classes = [each for each in vars(module).values() if isinstance(each, type) and getattr(each, "name", None) == name]
    return Service(name, classes[0], config)


def database_urls(name: str, environ: Mapping[str, str]) -> list[str]:
    """Of the databases that the service migrates; raises ConfigurationError, also when it has none."""
    if not _is_service(name) or importlib.util.find_spec(f"{name}.migrations") is None:
        raise settings.ConfigurationError(f"there is no service {name!r} with a database")
    return list(_own_config(name, environ)["DB_URIS"].values())


def _own_config(name: str, environ: Mapping[str, str]) -> dict[str, Any]:
    config: dict[str, Any] = importlib.import_module(f"{name}.settings").nameko_config(environ)
    return config


def _is_service(name: str) -> bool:
    package = importlib.util.find_spec(name) if name.isidentifier() else None
    if package is None or package.submodule_search_locations is None:
        return False
    return all(importlib.util.find_spec(f"{name}.{module}") for module in ("settings", "service"))


def prepare(service: Service, limit_s: float, migrating: bool = True) -> None:
    """Wait for what the service needs, and migrate its database, or wait until somebody else has."""
    for url in service.config.get("DB_URIS", {}).values():
        wait_for_database(url, limit_s)
        if migrating:
            migrate.upgrade(service.name, url)
        else:
            migrate.wait_until_migrated(service.name, url, limit_s)
    wait_for_broker(service.config["AMQP_URI"], limit_s)


def serve(service: Service, health: Health) -> int:
    """Run the service until SIGTERM or SIGINT, and let `health` know; returns the exit code."""
    container = ServiceContainer(service.cls, service.config)
    ended = eventlet.event.Event()
    stopping = False

    def end(code: int) -> None:
        if not ended.ready():
            ended.send(code)

    def live() -> None:
        # Starting may wait for the broker, so it has a greenlet that nobody waits for.
        try:
            container.start()
            garbage.settle()
            health.started(checks_of(container))
            log.info("started")
            container.wait()
        except TopologyMismatch as error:
            log.error("%s", error)
            end(1)
        except Exception:  # whatever ended the container: the process says so and ends
            if not stopping:
                log.exception("the service failed")
                end(1)

    def stop() -> None:
        log.info("stopping")
        health.stopping()
        try:
            with eventlet.Timeout(DRAIN_LIMIT_S):
                container.stop()
        except eventlet.Timeout:
            log.warning("not everything ended in time", extra={"limit_s": DRAIN_LIMIT_S})
        except Exception:  # it ends all the same
            log.exception("the service did not stop cleanly")
        end(0)

    def on_signal(signum: int, frame: Any) -> None:
        nonlocal stopping
        if not stopping:
            stopping = True
            # A signal handler runs in the hub and may not wait.
            eventlet.spawn_n(stop)

    for each in (signal.SIGTERM, signal.SIGINT):
        signal.signal(each, on_signal)
    eventlet.spawn_n(live)
    while not ended.ready():
        with contextlib.suppress(InterruptedError), eventlet.Timeout(WAKE_S, False):
            ended.wait()
    return int(ended.wait())


def _answer_for_status(service: Service, health: Health) -> None:
    """Begin to, if METRICS_ADDRESS says where; raises ConfigurationError."""
    address = status_address(os.environ)
    if address is not None:
        metrics.set_build_info(service.name)
        StatusServer(address, health)
        log.info("answering for metrics and health", extra={"address": "{}:{}".format(*address)})


def main(arguments: list[str]) -> int:
    """Command line; returns the exit code: 2 for a wrong setting, 1 for a failure, 0 after a signal."""
    if len(arguments) != 1:
        print("usage: python -m shared.run SERVICE", file=sys.stderr)
        return 2
    try:
        logs.configure(arguments[0], settings.log_level(os.environ), process_number(os.environ))
        service = load_service(arguments[0], os.environ)
        tracing_setup.configure(service.name, os.environ)
        limit_s = settings.number(os.environ, "STARTUP_TIMEOUT", DEFAULT_LIMIT_S, 1, 86_400)
        migrating = settings.flag(os.environ, "MIGRATE_AT_START", True)
        health = Health()
        _answer_for_status(service, health)
    except settings.ConfigurationError as error:
        print(f"{arguments[0]}: {error}", file=sys.stderr)
        return 2
    # Until it serves, a service has nothing to finish.
    for each in (signal.SIGTERM, signal.SIGINT):
        signal.signal(each, lambda signum, frame: os._exit(0))
    try:
        prepare(service, limit_s, migrating)
        return serve(service, health)
    except WaitedTooLong as error:
        log.error("%s", error)
        return 1
    except Exception:  # whatever it was: one line in the log's form, and exit code 1
        log.exception("the service could not start")
        return 1
    finally:
        tracing_setup.shut_down()


if __name__ == "__main__":
    code = main(sys.argv[1:])
    sys.stdout.flush()
    logging.shutdown()
    # Greenlets that did not end in time must not keep the process.
    os._exit(code)
