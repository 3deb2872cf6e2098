"""RabbitMQ's configuration for MQTT, of the private broker and of the one in a container alike.

Who is no user of the broker's own is asked about at `shared.mqtt_login`: the internal backend comes first, so that the
services' logins never wait for it.
"""

from collections.abc import Mapping

PLUGINS = ("rabbitmq_mqtt", "rabbitmq_auth_backend_http")
# A message of positions as the gateway takes it (8 MiB), and a packet's header.
MAX_PACKET = 8 * 1024 * 1024 + 65_536
MAX_MESSAGE = 16 * 1024 * 1024
# Before a login, room for a token, an id and a will.
MAX_FIRST_PACKET = 65_536
CONTAINER_PORT, CONTAINER_LOGIN_PORT, CONTAINER_VHOST = 1883, 8001, "bike_company"


def settings(listener: str, login: str, vhost: str) -> dict[str, object]:
    """Lines of rabbitmq.conf: names that every RabbitMQ since 3.10 knows. `login`: host:port of `shared.mqtt_login`."""
    questions = {f"auth_http.{name}_path": f"http://{login}/{name}" for name in ("user", "vhost", "resource", "topic")}
    return {
        "auth_backends.1": "internal",
        "auth_backends.2": "http",
        # in the body, where no log of an address has the token
        "auth_http.http_method": "post",
        **questions,
        # milliseconds
        "auth_http.request_timeout": 5000,
        "auth_http.connection_timeout": 2000,
        "mqtt.listeners.tcp.default": listener,
        "mqtt.vhost": vhost,
        # milliseconds for a connection's first packet
        "mqtt.login_timeout": 5000,
        # finds out about bikes that are gone and have set no keep-alive of MQTT's own
        "mqtt.tcp_listen_options.keepalive": "true",
        # these are the plugin's own, which the line before would take the place of
        "mqtt.tcp_listen_options.backlog": 128,
        "mqtt.tcp_listen_options.nodelay": "true",
    }


def advanced_config() -> str:
    """advanced.config: what releases spell differently in rabbitmq.conf, or do not know; there it does no harm."""
    mqtt: dict[str, object] = {
        "allow_anonymous": "false",
        # nobody may subscribe, so what would be kept for later subscribers is not
        "retained_message_store": "rabbit_mqtt_retained_msg_store_noop",
        "max_packet_size_unauthenticated": MAX_FIRST_PACKET,
        "max_packet_size_authenticated": MAX_PACKET,
    }
    applications: dict[str, dict[str, object]] = {"rabbit": {"anonymous_login_user": "none"}, "rabbitmq_mqtt": mqtt}
    parts = [f"  {{{name}, [\n{_terms(values)}\n  ]}}" for name, values in applications.items()]
    return "[\n" + ",\n".join(parts) + "\n].\n"


def enabled_plugins(*others: str) -> str:
    return f"[{','.join([*others, *PLUGINS])}].\n"


def of_a_container() -> dict[str, str]:
    """Name to text of the files that a container of the broker mounts for MQTT, beside its own rabbitmq.conf."""
    note = "Rendered by `python -m infrastructure.compose`: MQTT, where MQTT_PORT asks for it."
    values = settings(f"0.0.0.0:{CONTAINER_PORT}", f"mqtt-login:{CONTAINER_LOGIN_PORT}", CONTAINER_VHOST)
    return {
        "rabbitmq.conf": f"# {note}\n{conf(values)}",
        "advanced.config": f"%% {note}\n{advanced_config()}",
        "enabled_plugins": enabled_plugins("rabbitmq_management", "rabbitmq_prometheus"),
    }


def conf(values: Mapping[str, object]) -> str:
    """As text of rabbitmq.conf."""
    return "".join(f"{name} = {value}\n" for name, value in values.items())


def _terms(values: Mapping[str, object]) -> str:
    return ",\n".join(f"    {{{name}, {value}}}" for name, value in values.items())
