"""What a bike may do on the broker over MQTT: come in with its token, and publish to its own topic; nothing else.

RabbitMQ asks (its HTTP authentication backend) at a login, for the virtual host, and for each resource and topic of a
connection until it knows; the question is a form. What the login has shown comes back to the later questions as the
user's tag, so that nothing need be remembered here.
"""

import re
import time
from collections.abc import Callable, Mapping

from shared.jwt import VEHICLE, InvalidToken, Verifier, expiry_of
from shared.positions import MQTT_EXCHANGE, bike_key

ALLOW, DENY = "allow", "deny"
TAG = re.compile(r"until-(\d{1,19})")
# RabbitMQ never forgets a tag that it has once seen (an atom of Erlang), so there are to be few: 53,000 a year.
GRAIN_S = 600

Form = Mapping[str, str]


class MqttAccess:
    """Answers RabbitMQ's questions about `vhost`; raises Unavailable when the keys of tokens cannot be read."""

    def __init__(self, verifier: Verifier, vhost: str) -> None:
        self._verifier, self._vhost = verifier, vhost
        self.questions: dict[str, Callable[[Form], str]] = {
            "user": self.user,
            "vhost": self.vhost,
            "resource": self.resource,
            "topic": self.topic,
        }

    def user(self, form: Form) -> str:
        """The user is a bike's id, which the client's id is too, and the password a token of this vehicle's.

        A client id is one connection's at a time, so that nobody drives out another. Over AMQP there is none.
        """
        bike_id = form.get("username", "")
        if form.get("vhost") != self._vhost or form.get("client_id") != bike_id:
            return DENY
        token = form.get("password", "")
        try:
            identity = self._verifier.verify(token)
        except InvalidToken:
            return DENY
        if identity.role != VEHICLE or identity.sub != bike_id:
            return DENY
        return f"{ALLOW} {tag(expiry_of(token))}"

    def vhost(self, form: Form) -> str:
        return _answer(self._is_in(form))

    def resource(self, form: Form) -> str:
        """Only what publishing takes: neither a queue, as for a subscription, nor another exchange."""
        wanted = (form.get("resource"), form.get("name"), form.get("permission"))
        return _answer(self._is_in(form) and wanted == ("exchange", MQTT_EXCHANGE.name, "write"))

    def topic(self, form: Form) -> str:
        wanted = (form.get("name"), form.get("permission"), form.get("routing_key"))
        own = (MQTT_EXCHANGE.name, "write", bike_key(form.get("username", "")))
        return _answer(self._is_in(form) and wanted == own)

    def _is_in(self, form: Form) -> bool:
        match = TAG.fullmatch(form.get("tags", ""))
        return form.get("vhost") == self._vhost and match is not None and time.time() < int(match[1])


def tag(expires: float) -> str:
    """What a user is marked with whose token ends at `expires` (Unix time): it counts until at most GRAIN_S later."""
    return f"until-{(int(expires) // GRAIN_S + 1) * GRAIN_S}"


def _answer(allowed: bool) -> str:
    return ALLOW if allowed else DENY
