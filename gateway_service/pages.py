"""Files that the gateway serves as they are, and what is cached by its ETag."""

import hashlib
from pathlib import Path

from werkzeug.datastructures import Headers
from werkzeug.http import parse_etags

from shared.http import Answer

STATIC = Path(__file__).parent / "static"
# Nothing from elsewhere, nothing inline, in no frame.
CONTENT_SECURITY_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)


class Page:
    """Bytes with their media type; a client that has them already gets 304. `policy`: its Content-Security-Policy."""

    def __init__(
        self, body: bytes, media_type: str, policy: str = CONTENT_SECURITY_POLICY, referrer: str = "no-referrer"
    ) -> None:
        self.body, self.media_type = body, media_type
        self.etag = hashlib.sha256(body).hexdigest()[:32]
        self.headers = {
            "ETag": f'"{self.etag}"',
            "Cache-Control": "no-cache",
            "Content-Security-Policy": policy,
            "Referrer-Policy": referrer,
        }

    @classmethod
    def of_file(cls, name: str, media_type: str) -> "Page":
        return cls((STATIC / name).read_bytes(), media_type)

    def answer(self, request_headers: Headers) -> Answer:
        headers = dict(self.headers)
        if parse_etags(request_headers.get("If-None-Match")).contains_weak(self.etag):
            return Answer(status=304, headers=headers)
        return Answer(self.body, headers=headers, media_type=self.media_type)


DOCS_PAGE = Page.of_file("docs.html", "text/html; charset=utf-8")
DOCS_SCRIPT = Page.of_file("docs.js", "text/javascript; charset=utf-8")
DOCS_STYLE = Page.of_file("docs.css", "text/css; charset=utf-8")
