"""Request headers that this system gives a meaning."""

import re
import uuid

from werkzeug.datastructures import Headers

from shared.problems import Problem

REQUEST_ID = re.compile(r"[\x21-\x7e]{1,128}")
IDEMPOTENCY_KEY = re.compile(r"[\x21-\x7e]{1,255}")


def request_id(headers: Headers) -> str:
    """`X-Request-ID` when it is 1 to 128 visible ASCII characters, else a new one."""
    given = headers.get("X-Request-ID") or ""
    return given if REQUEST_ID.fullmatch(given) else str(uuid.uuid4())


def idempotency_key(headers: Headers) -> str | None:
    """`Idempotency-Key`, or None without it; raises Problem 400."""
    key = headers.get("Idempotency-Key")
    if key is not None and not IDEMPOTENCY_KEY.fullmatch(key):
        raise Problem(400, "The header Idempotency-Key must be 1 to 255 visible ASCII characters.")
    return key


def require_json(headers: Headers) -> None:
    """Raises Problem 415 unless the body is declared as plain JSON in UTF-8."""
    media_type, *parameters = [part.strip().lower() for part in (headers.get("Content-Type") or "").split(";")]
    charsets = [value.strip('"') for name, _, value in (p.partition("=") for p in parameters) if name == "charset"]
    if media_type != "application/json" or any(charset not in ("utf-8", "utf8") for charset in charsets):
        raise Problem(415, "The body must be application/json in UTF-8.", headers={"Accept": "application/json"})
    if (headers.get("Content-Encoding") or "identity").strip().lower() != "identity":
        raise Problem(415, "The body must not be compressed.", headers={"Accept-Encoding": "identity"})
