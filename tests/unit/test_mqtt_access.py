"""What the broker is answered about bikes on MQTT."""

import time
from datetime import timedelta
from typing import Any

import pytest

from shared.errors import Unavailable
from shared.jwt import Verifier, expiry_of, mint
from shared.mqtt_access import GRAIN_S, MqttAccess, tag
from shared.mqtt_login import MAX_FORM, LoginApp

SECRET, VHOST = "s" * 32, "bikes"
BIKE = "11111111-1111-4111-8111-111111111111"
OTHER = "22222222-2222-4222-8222-222222222222"
ACCESS = MqttAccess(Verifier.with_secret(SECRET), VHOST)


def token(role: str = "vehicle", sub: str = BIKE, lifetime: timedelta = timedelta(hours=1)) -> str:
    return mint(SECRET, role, sub, lifetime)


def login(**changed: str) -> str:
    form = {"username": BIKE, "password": token(), "vhost": VHOST, "client_id": BIKE, **changed}
    return ACCESS.user({name: value for name, value in form.items() if value})


def asked(question: str, **changed: str) -> str:
    forms = {
        "vhost": {"ip": "127.0.0.1"},
        "resource": {"resource": "exchange", "name": "amq.topic", "permission": "write"},
        "topic": {"resource": "topic", "name": "amq.topic", "permission": "write", "routing_key": own_key(BIKE)},
    }
    tags = tag(time.time() + 60)
    return ACCESS.questions[question]({"username": BIKE, "vhost": VHOST, "tags": tags, **forms[question], **changed})


def own_key(bike_id: str) -> str:
    return f"bike.{bike_id}.position"


def test_a_bike_comes_in_marked_with_its_token_s_end() -> None:
    given = token()
    assert login(password=given) == f"allow {tag(expiry_of(given))}"


@pytest.mark.parametrize(
    "changed",
    [
        {"password": token(sub=OTHER)}, {"password": token("rider")}, {"password": token("operator")},
        {"password": token(lifetime=timedelta(seconds=-1))}, {"password": mint("x" * 32, "vehicle", BIKE)},
        {"password": ""}, {"password": "x"}, {"username": OTHER}, {"username": BIKE.replace("1", "A")},
        {"client_id": OTHER}, {"client_id": ""}, {"vhost": "/"}, {"vhost": ""},
        {"username": "bike_service", "client_id": "bike_service"}, {"username": "", "client_id": ""},
    ],
)  # fmt: skip
def test_nobody_else_comes_in(changed: dict[str, str]) -> None:
    assert login(**changed) == "deny"


def test_a_bike_may_do_what_publishing_to_its_topic_takes() -> None:
    assert [asked(question) for question in ("vhost", "resource", "topic")] == ["allow"] * 3


@pytest.mark.parametrize(
    ("question", "changed"),
    [
        ("vhost", {"vhost": "/"}),
        ("resource", {"resource": "queue", "name": f"mqtt-subscription-{BIKE}qos1", "permission": "configure"}),
        ("resource", {"permission": "read"}), ("resource", {"permission": "configure"}),
        ("resource", {"name": "positions"}), ("resource", {"name": "amq.default"}), ("resource", {"resource": "queue"}),
        ("topic", {"permission": "read"}), ("topic", {"routing_key": own_key(OTHER)}),
        ("topic", {"routing_key": "fleet.position"}), ("topic", {"routing_key": own_key(BIKE) + ".x"}),
        ("topic", {"routing_key": own_key("*")}), ("topic", {"name": "positions"}), ("topic", {"username": OTHER}),
        ("topic", {"vhost": "/"}), ("resource", {"vhost": "/"}),
    ],
)  # fmt: skip
def test_a_bike_may_do_nothing_else(question: str, changed: dict[str, str]) -> None:
    assert asked(question, **changed) == "deny"


@pytest.mark.parametrize("question", ["vhost", "resource", "topic"])
@pytest.mark.parametrize("tags", ["", tag(time.time() - GRAIN_S), "until-", "until-x", "administrator", "until-9 x"])
def test_whose_token_has_ended_or_who_never_came_in_may_do_nothing(question: str, tags: str) -> None:
    assert asked(question, tags=tags) == "deny"


def test_the_broker_sees_few_tags_and_a_bike_no_more_than_a_grain_longer() -> None:
    begin = 1_800_000_000
    assert len({tag(begin + second) for second in range(24 * 3600)}) == 24 * 3600 // GRAIN_S
    for second in (0, 1, GRAIN_S - 1, GRAIN_S, 1e18):
        assert 0 < int(tag(begin + second).removeprefix("until-")) - int(begin + second) <= GRAIN_S


class Body:
    def __init__(self, content: bytes) -> None:
        self.content = content

    def read(self, size: int) -> bytes:
        return self.content[:size]


def post(app: LoginApp, path: str, form: bytes, **changed: Any) -> tuple[str, str]:
    said: list[str] = []
    environ = {
        "PATH_INFO": path, "REQUEST_METHOD": "POST", "CONTENT_LENGTH": str(len(form)), "wsgi.input": Body(form),
        **changed,
    }  # fmt: skip
    body = b"".join(app(environ, lambda status, headers: said.append(status)))
    return said[0], body.decode()


def test_over_http_a_form_is_answered_by_a_word() -> None:
    app = LoginApp(ACCESS)
    form = f"username={BIKE}&password={token()}&vhost={VHOST}&client_id={BIKE}".encode()
    status, body = post(app, "/user", form)
    assert (status, body[:12]) == ("200 OK", "allow until-")
    assert post(app, "/user", b"username=%FF&x") == ("200 OK", "deny")


@pytest.mark.parametrize(
    ("path", "changed", "status"),
    [
        ("/", {}, 404), ("/questions", {}, 404), ("/user", {"REQUEST_METHOD": "GET"}, 404),
        ("/user", {"CONTENT_LENGTH": ""}, 413), ("/user", {"CONTENT_LENGTH": "-1"}, 413),
        ("/user", {"CONTENT_LENGTH": str(MAX_FORM + 1)}, 413),
    ],
)  # fmt: skip
def test_other_requests_are_refused(path: str, changed: dict[str, str], status: int) -> None:
    assert post(LoginApp(ACCESS), path, b"", **changed)[0].startswith(str(status))


def test_without_keys_nobody_is_allowed() -> None:
    def no_keys(header: dict[str, Any]) -> Any:
        raise Unavailable("The keys that tokens are checked with cannot be read.")

    app = LoginApp(MqttAccess(Verifier(no_keys, ("HS256",)), VHOST))
    form = f"username={BIKE}&password={token()}&vhost={VHOST}&client_id={BIKE}".encode()
    assert post(app, "/user", form) == ("503 Service Unavailable", "not now")
