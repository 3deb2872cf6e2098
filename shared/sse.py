"""Server-sent events as bytes (WHATWG HTML, "Server-sent events"), and their framing in HTTP/1.1."""

MEDIA_TYPE = "text/event-stream"


def event(name: str, event_id: str, data: bytes) -> bytes:
    """One event; `data` is without line ends, as compact JSON is."""
    return b"event: %b\nid: %b\ndata: %b\n\n" % (name.encode(), event_id.encode(), data)


def opening(event_id: str, retry_ms: int) -> bytes:
    """What a stream begins with: how soon to come back, and where this one begins."""
    return b"retry: %d\nid: %b\n\n" % (retry_ms, event_id.encode())


def heartbeat(event_id: str) -> bytes:
    """A comment, and up to where all that the reader wants has been sent; nothing is dispatched for it."""
    return b": heartbeat\nid: %b\n\n" % event_id.encode()


def chunk(data: bytes) -> bytes:
    """`data`, not empty, as a chunk of a chunked body."""
    return b"%x\r\n%b\r\n" % (len(data), data)


LAST_CHUNK = b"0\r\n\r\n"
