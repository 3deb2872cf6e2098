"""The HTTP server over real sockets: where a request begins and ends, and what is no request."""

import json
import socket

import pytest

from tests.integration.http_toy import HEAD, problem


def test_a_connection_serves_one_request_after_another(connect):
    client = connect()
    for _ in range(3):
        assert client.send(HEAD.format("GET /fast") + "\r\n").answer()[0] == 200


def test_pipelined_requests_are_answered_in_order(connect):
    client = connect().send(HEAD.format("GET /fast") + "X-Request-ID: 1\r\n\r\n" + HEAD.format("GET /none") + "\r\n")
    assert client.answer()[1]["x-request-id"] == "1"
    assert client.answer()[0] == 404


@pytest.mark.parametrize(
    ("request_text", "status"),
    [
        ("rubbish\r\n\r\n", 400),
        ("GET /fast\r\n\r\n", 400),
        ("GET /fa st HTTP/1.1\r\nHost: t\r\n\r\n", 400),
        ("GET /fast HTTP/1.1\r\n\r\n", 400),
        ("GET /fast HTTP/2.0\r\nHost: t\r\n\r\n", 505),
        (HEAD.format("GET /fast") + "no colon\r\n\r\n", 400),
        (HEAD.format("GET /fast") + "Name : blank\r\n\r\n", 400),
        (HEAD.format("GET /fast") + " folded\r\n\r\n", 400),
        (HEAD.format("GET /fast") + "X: a\x00b\r\n\r\n", 400),
        (HEAD.format("GET /fast") + "Host: two\r\n\r\n", 400),
        (HEAD.format("POST /v1/echo") + "Content-Length: abc\r\n\r\n", 400),
        (HEAD.format("POST /v1/echo") + "Content-Length: +5\r\n\r\n", 400),
        (HEAD.format("POST /v1/echo") + "Content-Length: -5\r\n\r\n", 400),
        (HEAD.format("POST /v1/echo") + "Content-Length: 2\r\nContent-Length: 3\r\n\r\n", 400),
        (HEAD.format("POST /v1/echo") + "Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n", 400),
        (HEAD.format("POST /v1/echo") + "Transfer-Encoding: gzip, chunked\r\n\r\n", 400),
        (HEAD.format("POST /v1/echo") + "Content-Length: 2, 2\r\n\r\n", 400),
        (HEAD.format("POST /v1/echo") + "Content-Length: 0x2\r\n\r\n", 400),
        (HEAD.format("POST /v1/echo") + "Content-Length: " + "9" * 400 + "\r\n\r\n", 400),
        (HEAD.format("POST /v1/echo") + "Content-Length : 2\r\n\r\n", 400),
        (HEAD.format("POST /v1/echo") + "Content-Length:\x0b2\r\n\r\n", 400),
        (HEAD.format("POST /v1/echo") + "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n", 400),
        (HEAD.format("POST /v1/echo") + "Transfer-Encoding: xchunked\r\n\r\n", 400),
        (HEAD.format("POST /v1/echo") + "Transfer-Encoding: \x0bchunked\r\n\r\n", 400),
        (HEAD.format("POST /v1/echo") + "Transfer-Encoding:\r\n chunked\r\n\r\n", 400),
        (HEAD.format("POST /v1/echo") + "Transfer-Encoding : chunked\r\n\r\n", 400),
        ("POST /v1/echo HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n", 400),
        (HEAD.format("GET /fast") + "X: a\rTransfer-Encoding: chunked\r\n\r\n", 400),
        (HEAD.format("GET /fast") + "X: a\nY: b\r\n\r\n", 400),
        (HEAD.format("GET /fast") + "X: a\r\n\n", 400),
        ("GET /fast HTTP/1.1\nHost: test\n\n", 400),
        ("GET\t/fast\tHTTP/1.1\r\nHost: test\r\n\r\n", 400),
        ("GET /fast\x00 HTTP/1.1\r\nHost: test\r\n\r\n", 400),
        ("\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n", 400),
        ("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505),
        (HEAD.format("GET /fast") + ": no name\r\n\r\n", 400),
        (HEAD.format("GET /fast") + "X\xe9: y\r\n\r\n", 400),
        (HEAD.format("GET /fast") + "Authorization: a\r\nAuthorization: b\r\n\r\n", 400),
        (HEAD.format("GET /" + "x" * 9000) + "\r\n", 414),
        (HEAD.format("GET /fast") + "X: " + "x" * 9000 + "\r\n\r\n", 431),
        (HEAD.format("GET /fast") + "".join(f"X{n}: y\r\n" for n in range(200)) + "\r\n", 431),
    ],
)
def test_a_malformed_request_is_refused_with_a_problem_and_its_connection_closed(connect, request_text, status):
    client = connect().send(request_text)
    answer = client.answer()
    assert problem(answer)["status"] == status
    assert answer[1]["connection"] == "close"
    client.socket.shutdown(socket.SHUT_WR)
    assert client.is_closed()


def test_an_absolute_target_and_a_blank_line_before_the_request_are_taken(connect):
    client = connect().send("\r\n" + HEAD.format("GET http://test/fast") + "\r\n")
    assert client.answer()[0] == 200


def test_http_1_0_gets_one_answer_and_the_end(connect):
    client = connect().send("GET /fast HTTP/1.0\r\n\r\n")
    assert client.answer()[0] == 200
    assert client.is_closed()


def test_head_has_the_headers_of_get_and_no_body(connect):
    client = connect().send(HEAD.format("HEAD /fast") + "X-Request-ID: 1\r\n\r\n")
    line = client.file.readline()
    headers = []
    while (header := client.file.readline()) != b"\r\n":
        headers.append(header)
    assert line.startswith(b"HTTP/1.1 200")
    assert b"Content-Length: 18\r\n" in headers
    assert client.send(HEAD.format("GET /fast") + "\r\n").answer()[0] == 200


def chunked(*chunks: str) -> str:
    head = HEAD.format("POST /v1/echo") + "Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"
    return head + "".join(f"{len(chunk):x}\r\n{chunk}\r\n" for chunk in chunks) + "0\r\n\r\n"


def test_a_chunked_body_is_read_and_the_connection_goes_on(connect):
    client = connect().send(chunked('{"text": ', '"hello"}'))
    assert json.loads(client.answer()[2]) == {"text": "hello"}
    assert client.send(HEAD.format("GET /fast") + "\r\n").answer()[0] == 200


@pytest.mark.parametrize(
    "size",
    ["zz", "-5", "0x5", "+5", "1_0", "", " 5", "\x0b5", "5\r", "5\n", "5;a\rb", "5;a\nb", "F" * 400, "5;" + "a" * 9000],
)
def test_a_malformed_chunk_size_is_400(connect, size):
    text = chunked("hello").replace("\r\n5\r\n", f"\r\n{size}\r\n")
    assert problem(connect().send(text).answer())["status"] == 400


@pytest.mark.parametrize("trailer", ["\n", "GET /fast HTTP/1.1\r\nHost: x\r\n", "X: a\n", "X y\r\n"])
def test_a_malformed_trailer_is_400_and_no_part_of_it_a_request(connect, trailer):
    client = connect().send(chunked('{"text": "x"}')[:-2] + trailer + "\r\n")
    assert problem(client.answer())["status"] == 400
    client.socket.shutdown(socket.SHUT_WR)
    assert client.is_closed()


def test_a_chunk_longer_than_its_size_is_400(connect):
    assert problem(connect().send(chunked("hello").replace("\r\n5\r\n", "\r\n4\r\n")).answer())["status"] == 400


def test_what_follows_a_body_of_a_length_is_the_next_request_and_no_other(connect):
    """`Content-Length: 0` with a request in the body: it is answered as one of its own, in order."""
    client = connect().send(HEAD.format("POST /none") + "Content-Length: 0\r\n\r\n" + HEAD.format("GET /fast") + "\r\n")
    assert [client.answer()[0], client.answer()[0]] == [404, 200]


def test_a_body_without_length_is_none(connect):
    """RFC 9112, section 6.3: without either header there is no body; what comes then is no request."""
    client = connect().send(HEAD.format("POST /v1/echo") + 'Content-Type: application/json\r\n\r\n{"text": "x"}\r\n')
    assert problem(client.answer())["status"] == 400
    assert problem(client.answer())["status"] == 400
    client.socket.shutdown(socket.SHUT_WR)
    assert client.is_closed()


def test_a_chunked_body_over_the_limit_is_413(connect):
    assert problem(connect().send(chunked("x" * 900, "x" * 900)).answer())["status"] == 413


def test_a_body_over_the_limit_is_413_and_the_client_can_read_it_after_sending_all(connect):
    size = 9 << 20
    client = connect()
    client.send(HEAD.format("POST /v1/echo") + f"Content-Type: application/json\r\nContent-Length: {size}\r\n\r\n")
    client.send(b"x" * size)
    answer = client.answer()
    assert problem(answer)["status"] == 413
    assert answer[1]["connection"] == "close"


def test_a_large_body_is_refused_before_it_is_sent_when_the_client_asks(connect):
    head = HEAD.format("POST /v1/echo") + "Content-Type: application/json\r\n"
    client = connect().send(head + "Content-Length: 99999\r\nExpect: 100-continue\r\n\r\n")
    assert client.answer()[0] == 413


def test_a_client_that_asks_is_told_to_continue(connect):
    head = HEAD.format("POST /v1/echo") + "Content-Type: application/json\r\n"
    client = connect().send(head + "Content-Length: 14\r\nExpect: 100-continue\r\n\r\n")
    assert client.answer()[0] == 100
    assert client.send('{"text": "hi"}').answer()[0] == 200


def test_a_small_body_that_nobody_reads_does_not_cost_the_connection(connect):
    client = connect().send(HEAD.format("POST /none") + "Content-Length: 5\r\n\r\nhello")
    assert client.answer()[0] == 404
    assert client.send(HEAD.format("GET /fast") + "\r\n").answer()[0] == 200
