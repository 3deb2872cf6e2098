"""Bikes on MQTT: a real client, the private broker, and the services behind it."""

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import urlsplit

import amqp
import pytest
from kombu import Connection

from infrastructure import mqtt_broker
from infrastructure.local.rabbitmq import RabbitMQ
from tests.conftest import PrivateParts
from tests.e2e.client import Api, iso, mint, ok
from tests.integration.broker import Broker
from tests.integration.builders import Json, new_id, point, position
from tests.integration.mqtt import V5, Bike, Will
from tests.stack import ROOT, RunningStack, running_stack
from tests.waiting import eventually

QUEUES = ("bike_service.positions", "trip_service.positions")
A, B = (8.51, 47.41), (8.52, 47.42)


@dataclass(frozen=True)
class Setting:
    """A running stack whose broker offers MQTT."""

    stack: RunningStack
    rabbitmq: RabbitMQ
    logs: Path

    @property
    def api(self) -> Api:
        return Api(self.stack)

    @property
    def vhost(self) -> str:
        return urlsplit(self.stack.amqp_uri).path[1:]

    @property
    def address(self) -> str:
        assert self.rabbitmq.mqtt_address is not None
        return self.rabbitmq.mqtt_address

    def token(self, bike_id: str, role: str = "vehicle", lifetime: timedelta = timedelta(hours=1)) -> str:
        return mint(self.stack.jwt_secret, role, bike_id, lifetime)

    def bike(self, bike_id: str, will: Will | None = None) -> Bike:
        """As it should be: not connected yet."""
        return Bike(self.address, f"{self.vhost}:{bike_id}", self.token(bike_id), bike_id, will)

    def added(self) -> str:
        """The id of a bike of its own."""
        body = {"location": point(A)}
        return str(ok(self.api.operator().post("/v1/bikes", body), 201)["id"])

    def place(self, bike_id: str) -> Json | None:
        found: Json | None = ok(self.api.operator().get(f"/v1/bikes/{bike_id}"))["location"]
        return found


class Login:
    """The process that the broker asks, where it asks; `start` and `stop`."""

    def __init__(self, setting: Setting) -> None:
        self.address = setting.rabbitmq.mqtt_login_address
        self._log = setting.logs / "mqtt_login.log"
        self._environment = {
            **os.environ,
            "MQTT_LOGIN_ADDRESS": self.address,
            "MQTT_VHOST": setting.vhost,
            "JWT_SECRET": setting.stack.jwt_secret,
        }

    def start(self) -> None:
        command = [sys.executable, "-W", "ignore", "-m", "shared.mqtt_login"]
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                command, cwd=ROOT, env=self._environment, stdout=log, stderr=subprocess.STDOUT
            )
        eventually(lambda: self._process.poll() is not None or listens(self.address))

    def stop(self) -> None:
        self._process.send_signal(signal.SIGTERM)
        assert self._process.wait(10) == 0


def listens(address: str) -> bool:
    host, port = address.split(":")
    try:
        socket.create_connection((host, int(port)), 1).close()
    except ConnectionRefusedError:
        return False
    return True


@pytest.fixture(scope="module")
def setting(private_parts: PrivateParts, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Setting]:
    logs = tmp_path_factory.mktemp("logs")
    with running_stack(private_parts, logs) as stack:
        yield Setting(stack, private_parts.rabbitmq, logs)


@pytest.fixture(scope="module")
def login(setting: Setting) -> Iterator[Login]:
    process = Login(setting)
    process.start()
    yield process
    process.stop()


@pytest.fixture
def broker(setting: Setting) -> Iterator[Broker]:
    outsider = Broker(setting.stack.amqp_uri)
    yield outsider
    outsider.close()


def topic(bike_id: str) -> str:
    return f"bike/{bike_id}/position"


def body(bike_id: str, where: tuple[float, float] = B, when: datetime | None = None) -> bytes:
    return json.dumps({"positions": [position(bike_id, when or datetime.now(UTC), where)]}).encode()


def moves_to(setting: Setting, bike_id: str, where: tuple[float, float]) -> None:
    eventually(lambda: setting.place(bike_id) == point(where))


@pytest.mark.usefixtures("login")
class TestABike:
    def test_its_positions_move_it_and_belong_to_its_trip(self, setting: Setting) -> None:
        bike_id = setting.added()
        rider = setting.api.rider()
        trip = ok(rider.post("/v1/trips", {"bike_id": bike_id}), 201)
        bike = setting.bike(bike_id).connect()
        assert bike.is_in
        assert bike.publish(topic(bike_id), body(bike_id, B))
        moves_to(setting, bike_id, B)

        def has_come() -> bool:
            geometry = ok(rider.get(f"/v1/trips/{trip['id']}/route"))["geometry"]
            return geometry is not None and list(B) in geometry["coordinates"]

        eventually(has_come)
        bike.leave()

    @pytest.mark.parametrize("qos", [0, 2])
    def test_any_quality_of_service_will_do(self, setting: Setting, qos: int) -> None:
        bike_id = setting.added()
        bike = setting.bike(bike_id).connect()
        bike.publish(topic(bike_id), body(bike_id, B), qos=qos)
        moves_to(setting, bike_id, B)
        bike.leave()

    def test_mqtt_5_is_spoken_by_a_broker_that_knows_it_and_refused_by_an_older_one(self, setting: Setting) -> None:
        bike_id = setting.added()
        bike = Bike(setting.address, f"{setting.vhost}:{bike_id}", setting.token(bike_id), bike_id, version=V5)
        bike.connect()
        if setting.rabbitmq.version >= (3, 13):
            assert bike.is_in
            assert bike.publish(topic(bike_id), body(bike_id, B))
            moves_to(setting, bike_id, B)
        else:
            assert not bike.is_in
        bike.leave()

    def test_it_has_one_connection_at_a_time(self, setting: Setting) -> None:
        bike_id = setting.added()
        first = setting.bike(bike_id).connect()
        second = setting.bike(bike_id).connect()
        assert second.is_in
        first.turn(lambda: first.is_closed)
        assert second.publish(topic(bike_id), body(bike_id))
        second.leave()


Wrong = Callable[[Setting, str], Bike]


def logging_in(setting: Setting, bike_id: str, token: str | None, client_id: str | None = None) -> Bike:
    return Bike(setting.address, f"{setting.vhost}:{bike_id}", token, client_id or bike_id)


REFUSED: dict[str, Wrong] = {
    "no user": lambda s, bike: Bike(s.address, None, None, bike),
    "no password": lambda s, bike: logging_in(s, bike, None),
    "an empty password": lambda s, bike: logging_in(s, bike, ""),
    "no token": lambda s, bike: logging_in(s, bike, "secret"),
    "another's key": lambda s, bike: logging_in(s, bike, mint("x" * 32, "vehicle", bike)),
    "an expired token": lambda s, bike: logging_in(s, bike, s.token(bike, lifetime=timedelta(seconds=-1))),
    "a rider's": lambda s, bike: logging_in(s, bike, s.token(bike, "rider")),
    "an operator's": lambda s, bike: logging_in(s, bike, s.token(bike, "operator")),
    "another bike's": lambda s, bike: logging_in(s, bike, s.token(new_id())),
    "another client id": lambda s, bike: logging_in(s, bike, s.token(bike), new_id()),
    "another virtual host": lambda s, bike: Bike(s.address, bike, s.token(bike), bike),
    "a service's name": lambda s, bike: logging_in(s, "bike_service", s.token(bike), bike),
}


@pytest.mark.usefixtures("login")
@pytest.mark.parametrize("name", REFUSED)
def test_who_is_not_that_bike_is_refused(setting: Setting, name: str) -> None:
    bike = REFUSED[name](setting, new_id()).connect()
    assert not bike.is_in
    bike.leave()


@pytest.mark.usefixtures("login")
@pytest.mark.parametrize(
    "name",
    ["bike/{other}/position", "fleet/position", "bike/{own}/position/x", "bike/{own}", "bike.{other}.position",
     "bike/{upper}/position", "$SYS/x", "bike/{own}/position/", "/bike/{own}/position", "rpc-bike_service"],
)  # fmt: skip
def test_a_bike_publishes_to_its_own_topic_only(setting: Setting, name: str) -> None:
    own, other = setting.added(), setting.added()
    bike = setting.bike(own).connect()
    assert not bike.publish(name.format(own=own, other=other, upper=own.upper()), body(other, B))
    assert bike.is_closed
    again = setting.bike(own).connect()
    assert again.publish(topic(own), body(own, B))
    moves_to(setting, own, B)
    assert setting.place(other) == point(A)
    again.leave()


@pytest.mark.usefixtures("login")
@pytest.mark.parametrize("name", ["bike/{own}/position", "bike/{other}/position", "bike/+/position", "#", "$SYS/#"])
@pytest.mark.parametrize("is_clean", [True, False])
def test_a_bike_subscribes_to_nothing(setting: Setting, name: str, is_clean: bool, broker: Broker) -> None:
    own = new_id()
    bike = Bike(setting.address, f"{setting.vhost}:{own}", setting.token(own), own, is_clean=is_clean).connect()
    assert bike.is_in
    assert not bike.subscribe(name.format(own=own, other=new_id()))
    bike.leave()
    for qos in (0, 1):
        with pytest.raises(amqp.NotFound), broker.connection.channel() as channel:
            channel.queue_declare(f"mqtt-subscription-{own}qos{qos}", passive=True)


@pytest.mark.usefixtures("login")
def test_a_will_goes_to_its_own_topic_only(setting: Setting) -> None:
    first, second, other = setting.added(), setting.added(), setting.added()
    bad = setting.bike(first, will=(topic(other), body(other, B))).connect()
    good = setting.bike(second, will=(topic(second), body(second, B))).connect()
    bad.vanish()
    good.vanish()
    moves_to(setting, second, B)
    assert setting.place(other) == point(A)


@pytest.mark.usefixtures("login")
def test_nothing_is_retained(setting: Setting) -> None:
    bike_id = setting.added()
    bike = setting.bike(bike_id).connect()
    # a broker of MQTT 5 says that it retains nothing; an older one takes the message as any other
    assert bike.publish(topic(bike_id), body(bike_id, B), retain=True) or bike.is_closed
    admin = urlsplit(setting.stack.amqp_uri)
    reader = Bike(setting.address, f"{setting.vhost}:{admin.username}", admin.password, "reader").connect()
    assert reader.subscribe(topic(bike_id))
    again = setting.bike(bike_id).connect()
    live = body(bike_id, A)
    assert again.publish(topic(bike_id), live)
    reader.turn(lambda: bool(reader.received))
    assert [message.payload for message in reader.received] == [live]
    for each in (bike, again, reader):
        each.leave()


BAD: dict[str, tuple[str, Callable[[str], bytes]]] = {
    "no JSON": ("unreadable", lambda bike: b"\xff{"),
    "empty": ("unreadable", lambda bike: b""),
    "no positions": ("invalid", lambda bike: b"{}"),
    "no bike": ("invalid", lambda bike: json.dumps({"positions": [without(bike, "bike_id")]}).encode()),
    "another bike": ("wrong_bike", lambda bike: body(new_id())),
    "the future": ("invalid", lambda bike: body(bike, when=datetime.now(UTC) + timedelta(minutes=6))),
}


def without(bike_id: str, name: str) -> Json:
    return {key: value for key, value in position(bike_id, datetime.now(UTC)).items() if key != name}


@pytest.mark.usefixtures("login")
@pytest.mark.parametrize("name", BAD)
def test_a_bad_body_is_dead_lettered_with_its_reason(setting: Setting, broker: Broker, name: str) -> None:
    reason, make = BAD[name]
    bike_id = setting.added()
    sent = make(bike_id)
    bike = setting.bike(bike_id).connect()
    assert bike.publish(topic(bike_id), sent)
    for queue in QUEUES:
        found, kept = broker.dead_letter(queue)
        assert found == reason
        assert kept == sent or json.loads(kept) == json.loads(sent)
    assert bike.publish(topic(bike_id), body(bike_id, B)), "the connection goes on"
    moves_to(setting, bike_id, B)
    bike.leave()


@pytest.mark.usefixtures("login")
def test_a_position_of_long_ago_counts_as_over_amqp(setting: Setting) -> None:
    """Over MQTT no message says when it was accepted, and how old it was then."""
    bike_id = new_id()
    bike = setting.bike(bike_id).connect()
    when = datetime.now(UTC) - timedelta(days=31)
    added = ok(setting.api.operator().post("/v1/bikes", {}), 201)["id"]
    own = setting.bike(added).connect()
    assert own.publish(topic(added), body(added, B, when))
    eventually(lambda: ok(setting.api.anonymous.get(f"/v1/bikes/{added}"))["located_at"] == iso(when))
    bike.leave()
    own.leave()


@pytest.mark.usefixtures("login")
def test_what_is_too_large_is_not_taken(setting: Setting) -> None:
    bike_id = setting.added()
    bike = setting.bike(bike_id).connect()
    big = body(bike_id, B) + b" " * mqtt_broker.MAX_MESSAGE
    if setting.rabbitmq.version >= (3, 13):
        assert not bike.publish(topic(bike_id), big)
    else:
        # an older broker gives up its end of the channel, and answers no more
        with pytest.raises(AssertionError, match="has not answered"):
            bike.publish(topic(bike_id), big, timeout=3)
    assert setting.place(bike_id) == point(A)
    again = setting.bike(bike_id).connect()
    assert again.publish(topic(bike_id), body(bike_id, B))
    moves_to(setting, bike_id, B)
    again.leave()


@pytest.mark.usefixtures("login")
def test_a_token_is_no_way_in_over_amqp(setting: Setting) -> None:
    bike_id = new_id()
    url = urlsplit(setting.stack.amqp_uri)
    connection = amqp.Connection(
        f"{url.hostname}:{url.port}", userid=bike_id, password=setting.token(bike_id), virtual_host=setting.vhost,
        connect_timeout=5, read_timeout=5,
    )  # fmt: skip
    with pytest.raises(amqp.AccessRefused):
        connection.connect()


def test_while_nobody_judges_bikes_they_stay_out_and_the_services_come_in(setting: Setting, login: Login) -> None:
    bike_id = setting.added()
    connected = setting.bike(new_id()).connect()
    login.stop()
    try:
        assert not setting.bike(bike_id).connect().is_in
        with Connection(setting.stack.amqp_uri) as connection:
            connection.ensure_connection(max_retries=1)
    finally:
        login.start()
    bike = setting.bike(bike_id).connect()
    assert bike.is_in
    assert bike.publish(topic(bike_id), body(bike_id, B))
    moves_to(setting, bike_id, B)
    for each in (bike, connected):
        each.leave()


def test_neither_tokens_nor_positions_are_in_a_log(setting: Setting) -> None:
    for log in (*setting.logs.glob("*.log"), setting.rabbitmq.log):
        assert "eyJ" not in log.read_text(errors="replace"), log.name
