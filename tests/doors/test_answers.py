"""What every answer has, whatever was asked: headers that bind browsers, and nothing of what is inside."""

import socket
from urllib.parse import urlsplit

import pytest

from tests.e2e.client import LEAKS, Client, Json, Stack

REQUESTS = [
    ("GET", "/"),
    ("GET", "/ping"),
    ("GET", "/health"),
    ("GET", "/openapi.json"),
    ("GET", "/docs"),
    ("GET", "/docs/docs.js"),
    ("GET", "/docs/docs.css"),
    ("GET", "/map"),
    ("GET", "/map/main.js"),
    ("GET", "/map/leaflet.js"),
    ("GET", "/v1/bikes"),
    ("HEAD", "/v1/bikes"),
    ("GET", "/v1/trips"),
    ("PUT", "/v1/bikes"),
    ("POST", "/v1/bikes"),
    ("GET", "/nothing"),
    ("GET", "/%ff"),
    ("OPTIONS", "/v1/bikes"),
]


@pytest.mark.parametrize(("method", "path"), REQUESTS)
def test_every_answer_binds_the_browser(anonymous: Client, operator: Client, method: str, path: str) -> None:
    for client in (anonymous, operator):
        response = client.request(method, path)
        headers = response.headers
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert headers["Referrer-Policy"] == "no-referrer"
        policy = dict(part.strip().partition(" ")[::2] for part in headers["Content-Security-Policy"].split(";"))
        assert (policy["default-src"], policy["frame-ancestors"]) == ("'none'", "'none'")
        assert "unsafe" not in headers["Content-Security-Policy"]
        assert not {"Server", "X-Powered-By"} & set(headers)
        assert "Access-Control-Allow-Origin" not in headers
        if response.status_code >= 400 or path.startswith("/v1/"):
            assert headers["Cache-Control"] == "no-store"
            assert not LEAKS.search(response.text)


def test_a_refusal_of_what_is_no_http_has_them_too(stack: Stack) -> None:
    parts = urlsplit(stack.gateway_url)
    with socket.create_connection((str(parts.hostname), int(parts.port or 0)), timeout=10) as sock:
        sock.sendall(b"rubbish\r\n\r\n")
        head = sock.recv(65536).partition(b"\r\n\r\n")[0].lower()
    assert b"x-content-type-options: nosniff" in head
    assert b"frame-ancestors 'none'" in head
    assert b"\r\nserver:" not in head


def test_a_new_resource_has_them_too(operator: Client, bike: Json) -> None:
    response = operator.patch(f"/v1/bikes/{bike['id']}", {})
    assert response.status_code == 200
    assert response.headers["X-Content-Type-Options"] == "nosniff"
