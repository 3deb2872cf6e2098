"""Where the stack is, and the secret that signs its tokens: from the environment, or what a running stack wrote."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from infrastructure.compose import project

LOCAL = Path(".local")
STACK_ENV = LOCAL / "stack.env"
SECRET_BYTES = 32
CLAIMS = {"aud": "JWT_AUDIENCE", "iss": "JWT_ISSUER"}


class ConnectionSettingsError(Exception):
    """The stack cannot be found; the text says what to do."""


@dataclass(frozen=True)
class Connection:
    """`claims` are in every token beside its own: the audience and the issuer that the gateway wants."""

    gateway_url: str
    jwt_secret: str = field(repr=False)
    claims: Mapping[str, str] = field(default_factory=dict)


def find(gateway: str | None, environ: Mapping[str, str], stack_env: Path | None = None) -> Connection:
    """The connection; `gateway` (an URL) comes before the environment, and that before the file.

    The file is `stack_env`, else what STACK_ENV names, else the first that is there of those of a running stack.
    Raises ConnectionSettingsError.
    """
    stack_env = stack_env or written_by_a_stack(environ)
    written: dict[str, str] = {}
    try:
        written = parse(stack_env.read_text(encoding="utf-8"))
    except FileNotFoundError:
        pass  # the environment alone may do; what is missing is said below
    except (OSError, UnicodeDecodeError) as error:
        raise ConnectionSettingsError(f"{stack_env} cannot be read: {error}") from error
    url = gateway or environ.get("GATEWAY_URL") or written.get("GATEWAY_URL")
    secret = environ.get("JWT_SECRET") or written.get("JWT_SECRET")
    missing = [name for name, value in (("GATEWAY_URL", url), ("JWT_SECRET", secret)) if not value]
    if not url or not secret:
        raise ConnectionSettingsError(
            f"{' and '.join(missing)} neither in the environment nor in {stack_env}: start the stack with make up"
        )
    if len(secret.encode()) < SECRET_BYTES:
        raise ConnectionSettingsError(f"JWT_SECRET is shorter than {SECRET_BYTES} bytes")
    claims = {claim: environ[name] for claim, name in CLAIMS.items() if environ.get(name)}
    return Connection(_checked(url), secret, claims)


def written_by_a_stack(environ: Mapping[str, str]) -> Path:
    """The file that says where the running stack is."""
    if environ.get("STACK_ENV"):
        return Path(environ["STACK_ENV"])
    # the stack in containers, where no other runs
    containers = project.stack_env(LOCAL, environ)
    return containers if containers.exists() and not STACK_ENV.exists() else STACK_ENV


def parse(text: str) -> dict[str, str]:
    """The values of `NAME=value` lines; empty lines and lines that start with # are left out."""
    pairs = (line.split("=", 1) for line in map(str.strip, text.splitlines()) if "=" in line and line[0] != "#")
    return {name.strip(): value.strip() for name, value in pairs}


def _checked(url: str) -> str:
    try:
        parts = urlsplit(url)
        usable = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        usable = False
    if not usable:
        raise ConnectionSettingsError(f"the gateway's address {url!r} is no URL such as http://127.0.0.1:8000")
    return url.rstrip("/")
