"""Private files, written whole or not at all."""

import json
import os
import tempfile
from pathlib import Path
from typing import Any


def private_folder(folder: Path) -> Path:
    """Make the folder and those above it that do not exist, each with mode 0700; what exists stays as it is."""
    # `parents=True` would make those above with the default mode
    for missing in reversed([each for each in (folder, *folder.parents) if not each.exists()]):
        missing.mkdir(mode=0o700, exist_ok=True)
    return folder


def write_private(path: Path, text: str) -> None:
    """Write the file with mode 0600; a reader sees the old text or the new one, never a part."""
    descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(descriptor, "w") as file:
            file.write(text)
        os.replace(temporary, path)
    except BaseException:  # also Ctrl-C, and raised again
        os.unlink(temporary)
        raise


def read_json(path: Path) -> dict[str, Any]:
    """The object in the file; an empty one when there is no file."""
    try:
        found = json.loads(path.read_text())
    except FileNotFoundError:
        return {}
    if not isinstance(found, dict):
        raise ValueError(f"{path} does not hold a JSON object")
    return found


def write_json(path: Path, content: dict[str, Any]) -> None:
    write_private(path, json.dumps(content, indent=2) + "\n")
