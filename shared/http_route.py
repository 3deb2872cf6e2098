"""A route as it is declared: what it takes, who may call it, and what it answers; read by server and documentation."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from marshmallow import Schema
from werkzeug.routing import Rule

from shared.jwt import Identity

MIB = 1 << 20
PATH_PARAMETER = re.compile(r"{(\w+)}")


@dataclass(frozen=True)
class Response:
    """One body that a route answers with: a schema, or a media type whose content is not JSON."""

    schema: Schema | None = None
    media_type: str = "application/json"


@dataclass(frozen=True, eq=False)
class Route:
    """`roles` None: public. `path`: with `{name}` for each parameter, all of them UUIDs.

    `permit` looks further than a role: called with the identity and the path parameters, it raises Problem 403.
    `worker_wait_s`: how long a request may wait while all workers are busy, before it gets 503.
    `may_be_closed`: where the policy says so, this public route asks for a token, of any role.
    `any_origin`: the pages of any origin may read the answers, whatever the policy says.
    `errors` are the statuses that this route can answer besides those that follow from the rest (401 and 403 from
    `roles`, 404 from a path parameter, 413 and 415 from `body`, 422 from `body` or `query`).
    """

    method: str
    path: str
    summary: str
    description: str = ""
    tag: str = ""
    roles: tuple[str, ...] | None = None
    permit: Callable[[Identity, dict[str, str]], None] | None = None
    query: Schema | None = None
    body: Schema | None = None
    body_required: bool = True
    body_limit: int = MIB
    takes_idempotency_key: bool = False
    status: int = 200
    responses: tuple[Response, ...] = (Response(),)
    response_headers: tuple[str, ...] = ()
    errors: tuple[int, ...] = ()
    other_responses: Mapping[int, Response] = field(default_factory=dict)
    documented: bool = True
    worker_wait_s: float = 5.0
    may_be_closed: bool = False
    any_origin: bool = False

    @property
    def parameters(self) -> list[str]:
        """Names of the path parameters, in order."""
        return PATH_PARAMETER.findall(self.path)

    @property
    def is_versioned(self) -> bool:
        """Whether it belongs to the API proper: tokens are judged, answers are not cached."""
        return self.path.startswith("/v1/")

    def rule(self) -> Rule:
        """The werkzeug rule; identifiers are judged later, after the caller's role."""
        return Rule(PATH_PARAMETER.sub(r"<\1>", self.path), methods=[self.method])

    def all_errors(self) -> list[int]:
        """Every error status that a caller can meet by design, in order."""
        statuses = {*self.errors, 422}
        if self.is_versioned:
            statuses |= {400, 401, 429, 503, 504}
        if self.roles is not None:
            statuses.add(403)
        if self.parameters:
            statuses.add(404)
        if self.body is not None:
            statuses |= {408, 413, 415}
        if self.takes_idempotency_key:
            statuses.add(409)
        return sorted(statuses)
