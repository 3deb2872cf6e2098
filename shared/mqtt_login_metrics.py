"""What RabbitMQ has asked about bikes on MQTT, as Prometheus sees it."""

from shared.metrics import counter

ANSWERS = counter(
    "mqtt_login_answers",
    "Questions of the broker about bikes on MQTT, by question (user, vhost, resource, topic) and outcome.",
    ["question", "outcome"],
)
