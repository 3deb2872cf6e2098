"""Copies of what the compose file mounts from `infrastructure`, in a folder that mirrors it.

A checkout's own files have the modes of whoever made it; a container's user, of another number, must read them.
"""

from pathlib import Path

from infrastructure.local import files

# A folder stands for all files below it.
MOUNTED = (
    "docker/rabbitmq.conf", "docker/enabled_plugins", "docker/make-service-database.sh", "docker/mqtt", "observability",
)  # fmt: skip
GATEWAY_TARGETS = "observability/targets/gateway_service.yml"


def write(source: Path, folder: Path, targets: str) -> None:
    """Make `folder` hold those of `source`, readable by all, with `targets` for where the gateway's processes answer.

    A file that has not changed stays the same file, since a container may have mounted it; one that `source` has no
    more is removed.
    """
    texts = {file.relative_to(source): file.read_text(encoding="utf-8") for file in _files(source)}
    texts[Path(GATEWAY_TARGETS)] = targets
    for old in [path for path in folder.rglob("*") if path.is_file() and path.relative_to(folder) not in texts]:
        old.unlink()
    for name, text in texts.items():
        _write(folder, name, text)


def _files(source: Path) -> list[Path]:
    named = [source / name for name in MOUNTED]
    below = [file for path in named for file in path.rglob("*") if file.is_file()]
    return [path for path in named if path.is_file()] + below


def _write(folder: Path, name: Path, text: str) -> None:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    for above in (folder / parent for parent in name.parents):
        above.chmod(0o755)
    if not path.exists() or path.read_text(encoding="utf-8") != text:
        files.write_private(path, text)
    path.chmod(0o555 if path.suffix == ".sh" else 0o444)
