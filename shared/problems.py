"""Problem details (RFC 9457), and the one table from exception class to HTTP status."""

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from werkzeug.exceptions import HTTPException, MethodNotAllowed
from werkzeug.wrappers import Response

from shared import http_json
from shared.errors import Conflict, DeadlineExceeded, DomainError, Invalid, NotFound, Unavailable

MEDIA_TYPE = "application/problem+json"
DEFAULT_RETRY_AFTER_S = 2

STATUS_OF: dict[type[DomainError], int] = {
    Invalid: 422,
    NotFound: 404,
    Conflict: 409,
    Unavailable: 503,
    DeadlineExceeded: 504,
}

DEFAULT_DETAIL = {
    404: "There is nothing at this address.",
    405: "This resource does not know that method.",
    500: "Something went wrong here; it has been logged under the request id.",
}


class Problem(Exception):
    """An HTTP answer that says what is wrong; raised by the HTTP layer and by entrypoints."""

    def __init__(
        self,
        status: int,
        detail: str,
        *,
        errors: Mapping[str, list[str]] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(detail)
        self.status, self.detail = status, detail
        self.errors, self.headers = dict(errors or {}), dict(headers or {})


def title_of(status: int) -> str:
    """The status's reason phrase, which is what `about:blank` calls for (RFC 9457, section 4.2.1)."""
    return {413: "Content Too Large", 422: "Unprocessable Content"}.get(status) or HTTPStatus(status).phrase


def body_of(problem: Problem) -> dict[str, Any]:
    """The members of the problem document."""
    body: dict[str, Any] = {
        "type": "about:blank",
        "title": title_of(problem.status),
        "status": problem.status,
        "detail": problem.detail,
    }
    if problem.errors:
        body["errors"] = problem.errors
    return body


def response_of(problem: Problem) -> Response:
    """The problem as a response."""
    headers = dict(problem.headers)
    if problem.status == 503:
        headers.setdefault("Retry-After", str(DEFAULT_RETRY_AFTER_S))
    return Response(http_json.dump(body_of(problem)), status=problem.status, headers=headers, content_type=MEDIA_TYPE)


def problem_of(error: Exception) -> Problem:
    """What a client is told of `error`; anything that is not an answer by design is a bare 500."""
    if isinstance(error, Problem):
        return error
    if isinstance(error, DomainError):
        for kind in type(error).__mro__:
            if kind in STATUS_OF:
                return Problem(STATUS_OF[kind], error.detail, errors=error.errors, headers=_headers_of(error))
    if isinstance(error, HTTPException) and error.code in DEFAULT_DETAIL:
        allowed = error.valid_methods if isinstance(error, MethodNotAllowed) else None
        headers = {"Allow": ", ".join(sorted(allowed))} if allowed else {}
        return Problem(error.code, DEFAULT_DETAIL[error.code], headers=headers)
    return Problem(500, DEFAULT_DETAIL[500])


def _headers_of(error: DomainError) -> dict[str, str]:
    headers = {}
    if error.retry_after is not None:
        headers["Retry-After"] = str(max(error.retry_after, 1))
    if error.replayed:
        headers["Idempotency-Replayed"] = "true"
    return headers
