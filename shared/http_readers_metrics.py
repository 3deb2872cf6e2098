"""Streams as Prometheus sees them."""

from shared.metrics import counter, gauge

READERS = gauge("stream_readers", "Streams that are open.")
OPENED = counter("stream_readers_opened", "Streams opened.")
ENDED = counter("stream_readers_ended", "Streams ended, by reason; `slow` readers were cut off.", ["reason"])
EVENTS = counter("stream_events", "Events put on the stream, each for all readers, by name.", ["event"])
BYTES = counter("stream_sent_bytes", "Bytes sent to readers, or waiting to be.")
