"""A stack that runs already, in containers or elsewhere: E2E_STACK_ENV names a file that says where."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from replay.connection import parse

VARIABLE = "E2E_STACK_ENV"


@dataclass(frozen=True)
class GivenStack:
    """Where it answers. Its databases are its own: these tests go through the gateway and the broker only."""

    gateway_url: str
    amqp_uri: str
    jwt_secret: str


def given_stack(environ: Mapping[str, str]) -> GivenStack | None:
    """The stack that E2E_STACK_ENV names (GATEWAY_URL, AMQP_URI, JWT_SECRET); None when it is not set.

    Raises KeyError for a missing line, OSError for a missing file.
    """
    file = environ.get(VARIABLE)
    if not file:
        return None
    written = parse(Path(file).read_text(encoding="utf-8"))
    return GivenStack(written["GATEWAY_URL"], written["AMQP_URI"], written["JWT_SECRET"])
