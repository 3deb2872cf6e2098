"""What a process hears from the broker, as Prometheus sees it."""

from shared.metrics import counter, gauge

CONNECTED = gauge("listener_connected", "1 while events and moves are heard.")
EVENTS = counter("listener_events", "Events heard.")
POSITIONS = counter("listener_positions", "Moves heard: the newest position of a bike in a batch.")
IGNORED = counter("listener_ignored", "Messages heard that are none, or have nothing good in them.")
GAPS = counter("listener_gaps", "How often something may have been missed, by reason.", ["reason"])
CONNECTED_ANEW, OVERFLOW, MOVES_LOST = (GAPS.labels(reason) for reason in ("connected", "overflow", "moves"))
