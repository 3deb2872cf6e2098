"""Server-sent events as a browser's parser reads them."""

from shared import sse


def test_an_event_is_name_id_and_data_and_ends_with_an_empty_line():
    assert sse.event("bike", "e-7", b'{"a":1}') == b'event: bike\nid: e-7\ndata: {"a":1}\n\n'


def test_what_dispatches_nothing_still_moves_the_id():
    assert sse.heartbeat("e-7") == b": heartbeat\nid: e-7\n\n"
    assert sse.opening("e-7", 1500) == b"retry: 1500\nid: e-7\n\n"


def test_a_chunk_is_its_size_in_hexadecimal_and_its_bytes():
    assert sse.chunk(b"x" * 26) == b"1a\r\n" + b"x" * 26 + b"\r\n"
    assert sse.LAST_CHUNK == b"0\r\n\r\n"
