"""RabbitMQ's configuration for MQTT: of the private broker, and of the one in a container."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from infrastructure import mqtt_broker
from infrastructure import selection as selections
from infrastructure.compose import engine, readiness, rendering
from infrastructure.compose.folder import Folder
from infrastructure.compose.stack import Stack
from infrastructure.local import composition, settings
from infrastructure.local.composition import Composition
from infrastructure.local.layout import Layout
from infrastructure.local.parts import Parts
from infrastructure.local.rabbitmq import RabbitMQ
from infrastructure.local.rabbitmq_install import Installation
from infrastructure.programs import Target, render
from infrastructure.selection import SERVICES, Selection

Json = dict[str, Any]


@pytest.fixture
def installation(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of plugins of a RabbitMQ that is found."""
    server = tmp_path / "server" / "sbin" / "rabbitmq-server"
    plugins = tmp_path / "server" / "plugins"
    plugins.mkdir(parents=True)
    monkeypatch.setattr("infrastructure.local.rabbitmq.find", lambda: Installation(server, (3, 10, 8)))
    return plugins


def prepared(folder: Path) -> RabbitMQ:
    broker = RabbitMQ(folder / "rabbitmq")
    broker.prepare(SERVICES)
    return broker


def conf(broker: RabbitMQ) -> dict[str, str]:
    lines = (broker.folder / "rabbitmq.conf").read_text().splitlines()
    return dict(line.split(" = ") for line in lines)


def test_the_private_broker_offers_mqtt_on_a_loopback_port_of_its_own(tmp_path: Path, installation: Path) -> None:
    for plugin in mqtt_broker.PLUGINS:
        (installation / f"{plugin}-3.10.8").mkdir()
    broker = prepared(tmp_path)
    written = conf(broker)
    assert written["mqtt.listeners.tcp.default"] == broker.mqtt_address
    assert broker.mqtt_address is not None
    assert broker.mqtt_address.startswith("127.0.0.1:")
    assert written["auth_http.user_path"] == f"http://{broker.mqtt_login_address}/user"
    assert written["mqtt.vhost"] == "bike_company"
    assert (broker.folder / "enabled_plugins").read_text() == (
        "[rabbitmq_management,rabbitmq_mqtt,rabbitmq_auth_backend_http].\n"
    )
    assert len({written["listeners.tcp.1"], broker.mqtt_address, broker.mqtt_login_address}) == 3
    again = prepared(tmp_path)
    assert (again.mqtt_address, again.mqtt_login_address) == (broker.mqtt_address, broker.mqtt_login_address)


def test_a_rabbitmq_without_the_plugins_is_what_it_was(tmp_path: Path, installation: Path) -> None:
    (installation / "rabbitmq_mqtt-3.10.8").mkdir()
    broker = prepared(tmp_path)
    assert broker.mqtt_address is None
    assert not [name for name in conf(broker) if name.startswith(("mqtt", "auth"))]
    assert (broker.folder / "enabled_plugins").read_text() == "[rabbitmq_management].\n"
    assert (broker.folder / "advanced.config").read_text() == "[].\n"


@pytest.mark.parametrize(
    ("services", "environ", "offered"),
    [("", {}, True), ("gateway", {}, True), ("bike trip", {}, False), ("", {"AMQP_URI": "amqp://broker/"}, False)],
)
def test_a_stack_has_mqtt_with_its_own_broker_and_the_gateway(
    tmp_path: Path, installation: Path, services: str, environ: dict[str, str], offered: bool
) -> None:
    for plugin in mqtt_broker.PLUGINS:
        (installation / f"{plugin}-3.10.8").mkdir()
    layout = Layout(tmp_path)
    layout.make()
    broker = prepared(tmp_path)
    chosen = selections.read({"SERVICES": services})
    ports = composition.choose_ports(layout, chosen, {}, chosen.services)
    composed = Composition("1 boot:2", chosen, settings.read(environ), ports)
    address = Parts(layout).mqtt_address(composed)
    assert address == (broker.mqtt_address if offered else None)
    programs = render(chosen, Target(["python"], "/log", metrics=composed.status_addresses, mqtt=address is not None))
    assert ("[program:mqtt_login]\ncommand=python mqtt_login\n" in programs) == offered


def test_the_services_users_are_never_asked_about_elsewhere() -> None:
    written = mqtt_broker.settings("127.0.0.1:1", "127.0.0.1:2", "v")
    assert [written["auth_backends.1"], written["auth_backends.2"]] == ["internal", "http"]
    assert written["auth_http.http_method"] == "post"


def test_nobody_is_let_in_without_a_name_and_nothing_is_retained() -> None:
    terms = re.sub(r"\s", "", mqtt_broker.advanced_config())
    assert terms.count("{") == terms.count("}")
    assert terms.endswith("].")
    for term in (
        "{allow_anonymous,false}",
        "{anonymous_login_user,none}",
        "{retained_message_store,rabbit_mqtt_retained_msg_store_noop}",
        f"{{max_packet_size_authenticated,{mqtt_broker.MAX_PACKET}}}",
    ):
        assert term in terms


def test_what_a_container_mounts_is_committed() -> None:
    folder = rendering.FOLDER / "docker" / "mqtt"
    assert {path.name: path.read_text() for path in folder.iterdir()} == mqtt_broker.of_a_container()


def compose(services: str = "", mqtt: bool = True) -> Json:
    chosen = selections.read({"SERVICES": services})
    loaded: Json = yaml.safe_load(rendering.compose_file(chosen, rendering.COMMITTED, mqtt=mqtt))
    return loaded


def test_in_containers_the_port_is_published_on_loopback_and_only_when_asked_for() -> None:
    assert compose()["services"]["rabbitmq"]["ports"] == ["127.0.0.1:${MQTT_PORT:-1883}:1883"]
    for without in (compose(mqtt=False), compose("bike trip")):
        assert "ports" not in without["services"]["rabbitmq"]
        assert "mqtt_login" not in without["services"]
        assert not {"mqtt", "keys"} & set(without["networks"])
        assert not [each for each in without["services"]["rabbitmq"]["volumes"] if "mqtt" in each]


def test_in_containers_only_the_broker_reaches_the_login_and_the_login_no_database() -> None:
    found = compose()
    login = found["services"]["mqtt_login"]
    assert "ports" not in login
    assert set(login["networks"]) == {"broker", "observability", "keys"}
    assert [name for name, each in found["services"].items() if "keys" in each["networks"]] == ["mqtt_login"]
    assert [name for name, each in found["services"].items() if "mqtt" in each["networks"]] == ["rabbitmq"]
    [alias] = login["networks"]["broker"]["aliases"]
    assert f"http://{alias}:{mqtt_broker.CONTAINER_LOGIN_PORT}/user" in mqtt_broker.of_a_container()["rabbitmq.conf"]
    assert login["environment"]["MQTT_LOGIN_ADDRESS"].endswith(f":{mqtt_broker.CONTAINER_LOGIN_PORT}")
    assert login["environment"]["MQTT_VHOST"] == mqtt_broker.CONTAINER_VHOST
    assert login["secrets"] == ["jwt_secret"]
    assert {"JWT_AUDIENCE", "JWT_ISSUER", "JWT_JWKS"} <= set(login["environment"])
    assert (login["read_only"], login["cap_drop"]) == (True, ["ALL"])
    assert login["healthcheck"]["test"][-1] == "shared.healthcheck"
    assert login["mem_limit"]
    assert login["pids_limit"]


def test_every_mount_of_the_file_with_mqtt_is_there() -> None:
    volumes = compose()["services"]["rabbitmq"]["volumes"]
    mounted = {each.split(":")[0]: each.split(":")[1] for each in volumes if each.startswith("./")}
    assert all((rendering.FOLDER / source).is_file() for source in mounted)
    assert len(set(mounted.values())) == len(mounted)
    assert mounted["./docker/mqtt/rabbitmq.conf"] == "/etc/rabbitmq/conf.d/90-mqtt.conf"


def test_docker_run_offers_it_while_mqtt_port_is_set(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine, "compose", lambda *arguments: None)

    def file(**environ: str) -> Json:
        stack = Stack(Folder(tmp_path), environ, print)
        stack.keep_settings()
        stack.render(Selection())
        loaded: Json = yaml.safe_load(stack.folder.compose_file.read_text())
        return loaded

    assert "mqtt_login" not in file()["services"]
    assert "mqtt_login" in file(MQTT_PORT="1884")["services"]
    kept = Stack(Folder(tmp_path), {}, print)
    assert kept.mqtt_address(Selection()) == "127.0.0.1:1884"
    assert kept.mqtt_address(Selection({"bike_service": 1})) is None
    assert kept.environ["MQTT_PORT"] == "1884"
    assert "mqtt_login" not in file(MQTT_PORT="")["services"]


def test_the_start_waits_for_the_login_too() -> None:
    assert readiness.needed(Selection(), mqtt=True) - readiness.needed(Selection()) == {"mqtt_login"}
