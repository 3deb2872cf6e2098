"""Streams as Prometheus sees them."""

from shared.http_reader import EXPIRED, LEFT, SLOW, STOPPING
from shared.metrics import counter, gauge

READERS = gauge("stream_readers", "Streams that are open.")
OPENED = counter("stream_readers_opened", "Streams opened.")
ENDED = counter("stream_readers_ended", "Streams ended, by reason; `slow` readers were cut off.", ["reason"])
EVENTS = counter("stream_events", "Events put on the stream, each for all readers, by name.", ["event"])
BYTES = counter("stream_sent_bytes", "Bytes sent to readers, or waiting to be.")

# Shown from the start, at zero, so that Prometheus sees the first one as an increase.
for _reason in (LEFT, SLOW, EXPIRED, STOPPING):
    ENDED.labels(_reason)
