"""The environment of what is started: nothing of the caller's settings, so that every run has the same."""

import os
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
KEPT = ("PATH", "HOME", "LANG", "TMPDIR", "LD_LIBRARY_PATH")


def clean() -> dict[str, str]:
    """The few variables that are kept."""
    return {name: os.environ[name] for name in KEPT if name in os.environ}
