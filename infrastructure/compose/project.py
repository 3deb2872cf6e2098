"""Compose's name for this stack, and the folder of that name: a second one beside it takes another name."""

from collections.abc import Mapping
from pathlib import Path

DEFAULT = "bike-company"


def name(environ: Mapping[str, str]) -> str:
    """COMPOSE_PROJECT_NAME, or `bike-company`."""
    return environ.get("COMPOSE_PROJECT_NAME") or DEFAULT


def folder(local: Path, environ: Mapping[str, str]) -> Path:
    """`docker/<name>` below `local`, a checkout's `.local`: what these containers are started from."""
    return local / "docker" / name(environ)


def stack_env(local: Path, environ: Mapping[str, str]) -> Path:
    """`NAME=value` lines for other tools to connect; exists while the containers run."""
    return folder(local, environ) / "stack.env"
