"""The publishing connection as Prometheus sees it."""

from shared.metrics import counter, gauge

CONNECTED = gauge("publisher_connected", "1 while the publishing connection stands.")
IN_FLIGHT = gauge("publisher_unconfirmed_messages", "Messages on their way that the broker has not confirmed.")
CONNECTIONS = counter("publisher_connections", "Publishing connections established, the first one included.")
FAILURES = counter("publisher_failures", "Messages that were not confirmed, by reason.", ["reason"])
REFUSED, TIMED_OUT, LOST = (FAILURES.labels(reason) for reason in ("refused", "timeout", "connection_lost"))
