"""A private RabbitMQ on 127.0.0.1 only: broker, its own epmd, management API and MQTT, data in a folder of its own."""

import functools
import os
import secrets
import signal
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from urllib.parse import quote

import amqp
import requests

from infrastructure import mqtt_broker
from infrastructure.local import files, loopback, ports
from infrastructure.local.errors import LocalError
from infrastructure.local.process import Process, leashed
from infrastructure.local.rabbitmq_install import Installation, find

USER = "bike_company"
VHOST = "bike_company"
PORTS = ["amqp", "management", "distribution", "epmd", "mqtt", "mqtt_login"]


class RabbitMQ:
    """`prepare`, then `start` (or have a supervisor run `epmd_command` and `command`), `wait_ready`; `stop`."""

    def __init__(self, folder: Path):
        self.folder = folder.absolute()
        self.log = self.folder / "rabbitmq.log"
        self._state_file = self.folder / "state.json"
        self._state = files.read_json(self._state_file)
        self._processes: list[Process] = []
        # What the broker said last when it did not let a user in.
        self.refusal = ""

    @property
    def url(self) -> str:
        """AMQP URL of the vhost that is there from the start."""
        return self.vhost_url(VHOST)

    @property
    def management_url(self) -> str:
        """Of the HTTP API, with user and password, without a trailing slash."""
        return f"http://{USER}:{self._state['password']}@127.0.0.1:{self._ports['management']}"

    def vhost_url(self, vhost: str) -> str:
        return f"amqp://{USER}:{self._state['password']}@127.0.0.1:{self._ports['amqp']}/{quote(vhost, safe='')}"

    def user_url(self, user: str, vhost: str = VHOST) -> str:
        """AMQP URL of a user that `prepare` was told of."""
        password = self._state["users"][user]
        return f"amqp://{user}:{password}@127.0.0.1:{self._ports['amqp']}/{quote(vhost, safe='')}"

    @property
    def version(self) -> tuple[int, ...]:
        return self._installation.version

    @property
    def mqtt_address(self) -> str | None:
        """host:port where bikes connect; None when this RabbitMQ has no MQTT."""
        return f"127.0.0.1:{self._ports['mqtt']}" if self._state.get("has_mqtt") else None

    @property
    def mqtt_login_address(self) -> str:
        """host:port where the broker asks about bikes: `shared.mqtt_login` is to listen there."""
        return f"127.0.0.1:{self._ports['mqtt_login']}"

    def prepare(self, users: Iterable[str] = ()) -> None:
        """Find or fetch RabbitMQ, choose free ports, write the configuration. Not while it runs. Raises LocalError.

        `users`: whom `add_user` will be asked to add; their passwords are made here.
        """
        self._installation = find()
        files.private_folder(self.folder)
        for part in ("home", "mnesia", "log"):
            files.private_folder(self.folder / part)
        self._state.setdefault("password", secrets.token_urlsafe(24))
        passwords = self._state.setdefault("users", {})
        for user in users:
            passwords.setdefault(user, secrets.token_urlsafe(24))
        self._state.setdefault("node", f"bike-{secrets.token_hex(4)}@localhost")
        self._state["has_mqtt"] = self._installation.has_plugins(mqtt_broker.PLUGINS)
        self._state["ports"] = ports.choose_all(PORTS, self._state.get("ports", {}))
        files.write_json(self._state_file, self._state)
        cookie = self.folder / "home" / ".erlang.cookie"
        if not cookie.exists():
            files.write_private(cookie, secrets.token_hex(16))
            cookie.chmod(0o400)
        self._write_configuration()

    @property
    def command(self) -> list[str]:
        """The broker in the foreground; one process, stopped by SIGTERM. It needs epmd to run."""
        return [str(self._installation.server)]

    @property
    def epmd_command(self) -> list[str]:
        """The port mapper in the foreground: started by Erlang itself it would outlive the broker."""
        return [str(self._installation.epmd), "-address", "127.0.0.1", "-port", str(self._ports["epmd"])]

    @property
    def environment(self) -> dict[str, str]:
        """For both commands, and for rabbitmqctl and its like."""
        installation, folder = self._installation, self.folder
        own = {name: value for name, value in os.environ.items() if not name.startswith(("RABBITMQ_", "ERL_"))}
        libraries = [*map(str, installation.libraries), os.environ.get("LD_LIBRARY_PATH", "")]
        return {
            **own,
            "PATH": installation.search_path,
            "LD_LIBRARY_PATH": os.pathsep.join(filter(None, libraries)),
            "HOME": str(folder / "home"),
            "RABBITMQ_HOME": str(installation.server.parent.parent),
            "RABBITMQ_NODENAME": self._state["node"],
            "RABBITMQ_NODE_PORT": str(self._ports["amqp"]),
            "RABBITMQ_NODE_IP_ADDRESS": "127.0.0.1",
            "RABBITMQ_DIST_PORT": str(self._ports["distribution"]),
            "RABBITMQ_CONF_ENV_FILE": os.devnull,
            "RABBITMQ_CONFIG_FILE": str(folder / "rabbitmq.conf"),
            "RABBITMQ_ADVANCED_CONFIG_FILE": str(folder / "advanced.config"),
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(folder / "enabled_plugins"),
            "RABBITMQ_MNESIA_BASE": str(folder / "mnesia"),
            "RABBITMQ_LOG_BASE": str(folder / "log"),
            "RABBITMQ_PID_FILE": str(folder / "rabbitmq.pid"),
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "-kernel inet_dist_use_interface {127,0,0,1}",
            # the script then replaces itself by the broker, so that no shell stands between it and its signals
            "RUNNING_UNDER_SYSTEMD": "true",
            "ERL_EPMD_PORT": str(self._ports["epmd"]),
            "ERL_EPMD_ADDRESS": "127.0.0.1",
        }

    def start(self) -> None:
        """Run epmd and the broker as children of this process, which they do not outlive."""
        self._processes.append(Process("epmd", leashed("SIGTERM", self.epmd_command), self.environment, self.log))
        self._processes.append(Process("RabbitMQ", leashed("SIGTERM", self.command), self.environment, self.log))

    def stop(self, graceful: bool = True) -> None:
        """Stop both (about 6 s); at once, as for a broker that is thrown away, if not `graceful`."""
        for process in reversed(self._processes):
            process.stop(signal.SIGTERM if graceful else signal.SIGKILL)
        self._processes = []

    def wait_ready(self, timeout: float = 60) -> None:
        """Wait until it answers. Raises LocalError after `timeout` seconds or when a child has ended."""
        deadline = time.monotonic() + timeout
        while True:
            try:
                connection = amqp.Connection(
                    f"127.0.0.1:{self._ports['amqp']}", userid=USER, password=self._state["password"],
                    virtual_host=VHOST, connect_timeout=5, read_timeout=5,
                )  # fmt: skip
                connection.connect()
                connection.close()
                self._management("GET", "whoami")
                return
            except (OSError, amqp.AMQPError) as error:  # requests' errors are OSErrors
                for process in self._processes:
                    process.check()
                if time.monotonic() > deadline:
                    raise LocalError(f"RabbitMQ did not answer within {timeout:.0f} s: {error}") from error
            time.sleep(0.2)  # until it is asked again; `deadline` bounds it

    def add_user(self, user: str, permissions: Mapping[str, str], vhost: str = VHOST) -> bool:
        """Let the user in with these permissions (as RabbitMQ's API names them).

        False when the broker does not answer yet, or refuses, which it also does at its start: see `refusal`.
        """
        name = quote(user, safe="")
        try:
            self._management("PUT", f"users/{name}", {"password": self._state["users"][user], "tags": ""})
            self._management("PUT", f"permissions/{quote(vhost, safe='')}/{name}", dict(permissions))
        except (requests.ConnectionError, requests.Timeout):
            return False
        except requests.HTTPError as error:
            # At its start the API answers before it knows its vhosts and users.
            if error.response.status_code in (400, 401, 404, 500, 503):
                answer = error.response
                self.refusal = f"RabbitMQ on the user {user}: {answer.status_code} {answer.text[:300]}"
                return False
            raise
        self.refusal = ""
        return True

    def add_vhost(self, name: str) -> str:
        """Make the vhost, if it is not there, with all rights for the user; its AMQP URL."""
        vhost = quote(name, safe="")
        everything = {"configure": ".*", "write": ".*", "read": ".*"}
        self._management("PUT", f"vhosts/{vhost}", {})
        self._management("PUT", f"permissions/{vhost}/{USER}", everything)
        return self.vhost_url(name)

    def delete_vhost(self, name: str) -> None:
        """Delete the vhost with all that it holds. Raises requests.HTTPError if there is none."""
        self._management("DELETE", f"vhosts/{quote(name, safe='')}")

    def queues(self) -> list[str]:
        """Names of the queues in the vhost that is there from the start."""
        return [queue["name"] for queue in self._management("GET", f"queues/{VHOST}?columns=name").json()]

    def delete_queue(self, name: str) -> None:
        """Delete a queue of that vhost with all that it holds; no error if there is none."""
        try:
            self._management("DELETE", f"queues/{VHOST}/{quote(name, safe='')}")
        except requests.HTTPError as error:
            if error.response.status_code != requests.codes.not_found:
                raise

    def _management(self, method: str, path: str, body: dict[str, str] | None = None) -> requests.Response:
        with loopback.session() as session:
            url = f"{self.management_url}/api/{path}"
            answer = session.request(method, url, json=body, timeout=30)
        answer.raise_for_status()
        return answer

    @property
    def _ports(self) -> dict[str, int]:
        ports_by_name: dict[str, int] = self._state["ports"]
        return ports_by_name

    @functools.cached_property
    def _installation(self) -> Installation:
        return find()  # in another process than the one that prepared

    def _write_configuration(self) -> None:
        settings: dict[str, object] = {
            "listeners.tcp.1": f"127.0.0.1:{self._ports['amqp']}",
            "management.tcp.ip": "127.0.0.1",
            "management.tcp.port": self._ports["management"],
            "default_user": USER,
            "default_pass": self._state["password"],
            "default_vhost": VHOST,
            "log.console": "true",
            "log.file": "false",
            # the log of quorum queues is kept on disk and in memory up to this size; the default is 512 MB
            "raft.wal_max_size_bytes": 64_000_000,
            "max_message_size": mqtt_broker.MAX_MESSAGE,
        }
        plugins, advanced = "[rabbitmq_management].\n", "[].\n"
        if self.mqtt_address:
            settings |= mqtt_broker.settings(self.mqtt_address, self.mqtt_login_address, VHOST)
            plugins = mqtt_broker.enabled_plugins("rabbitmq_management")
            advanced = mqtt_broker.advanced_config()
        files.write_private(self.folder / "rabbitmq.conf", mqtt_broker.conf(settings))
        files.write_private(self.folder / "advanced.config", advanced)
        files.write_private(self.folder / "enabled_plugins", plugins)
