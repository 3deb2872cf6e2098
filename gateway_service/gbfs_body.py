"""A GBFS document as it is served: bytes, gzip, ETag, and what clients may keep it for."""

import hashlib
import zlib

from werkzeug.datastructures import Headers
from werkzeug.http import parse_accept_header, parse_etags

from shared.http import Answer

MEDIA_TYPE = "application/json"
# The fastest: the ids are random, and better is hardly smaller.
LEVEL = 1


class Body:
    """`ttl_s`: seconds for which it need not be asked for again."""

    def __init__(self, text: bytes, ttl_s: int) -> None:
        self.text, self.ttl_s = text, ttl_s
        self.gzipped = gzip(text)
        self.etag = hashlib.blake2b(text, digest_size=16).hexdigest()

    def answer(self, request_headers: Headers) -> Answer:
        """In the coding that the client takes, or 304 when it has this already."""
        takes_gzip = accepts_gzip(request_headers)
        # Of each coding its own, since the bytes differ.
        tags = [self.etag, f"{self.etag}-gzip"]
        headers = {
            "ETag": f'"{tags[takes_gzip]}"',
            "Cache-Control": f"max-age={self.ttl_s}",
            "Vary": "Accept-Encoding",
        }
        known = parse_etags(request_headers.get("If-None-Match"))
        if any(known.contains_weak(tag) for tag in tags):
            return Answer(status=304, headers=headers)
        if takes_gzip:
            headers["Content-Encoding"] = "gzip"
        return Answer(self.gzipped if takes_gzip else self.text, headers=headers, media_type=MEDIA_TYPE)


def accepts_gzip(request_headers: Headers) -> bool:
    """Whether `Accept-Encoding` has gzip."""
    return parse_accept_header(request_headers.get("Accept-Encoding")).quality("gzip") > 0


def gzip(text: bytes) -> bytes:
    """`text` in the gzip format, the same each time."""
    compressor = zlib.compressobj(LEVEL, wbits=31)
    return compressor.compress(text) + compressor.flush()
