"""Find an installed RabbitMQ, else unpack Debian's packages of it into the user's cache folder, without root."""

import getpass
import os
import platform
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from infrastructure.local import cache
from infrastructure.local.errors import LocalError

OLDEST = (3, 10)
WAYS_OUT = (
    "Install RabbitMQ 3.10 or newer and run make again (macOS: brew install rabbitmq), or start one with Docker "
    "(docker run -d -p 127.0.0.1:5672:5672 rabbitmq:3) or elsewhere and name it: "
    "AMQP_URI=amqp://guest:guest@127.0.0.1:5672/ make run"
)


@dataclass(frozen=True)
class Installation:
    """`server` is the script sbin/rabbitmq-server; the folders are searched for `erl`, and for shared libraries."""

    server: Path
    version: tuple[int, ...]
    programs: tuple[Path, ...] = ()
    libraries: tuple[Path, ...] = ()

    @property
    def search_path(self) -> str:
        return os.pathsep.join([*map(str, self.programs), os.environ.get("PATH", os.defpath)])

    def has_plugins(self, names: Iterable[str]) -> bool:
        """Whether all of them stand beside the broker, each in a folder or archive with its version in its name."""
        folder = self.server.parent.parent / "plugins"
        return all(any(folder.glob(f"{name}-[0-9]*")) for name in names)

    @property
    def epmd(self) -> Path:
        found = shutil.which("epmd", path=self.search_path)
        if not found:
            raise LocalError(f"RabbitMQ is at {self.server}, but Erlang's epmd is not on the PATH. {WAYS_OUT}")
        return Path(found)


def find() -> Installation:
    """An installed RabbitMQ that is new enough, or the one in the cache, put there if need be. Raises LocalError."""
    return _installed() or _unpacked()


def _installed() -> Installation | None:
    on_path = shutil.which("rabbitmq-server")
    candidates = list(Path("/usr/lib/rabbitmq/lib").glob("rabbitmq_server-*/sbin/rabbitmq-server"))
    if on_path:
        candidates.append(Path(on_path).resolve())
    programs = tuple(path for path in [Path("/usr/lib/erlang/bin")] if path.exists())
    found = [
        Installation(server, version, programs)
        for server in candidates
        if (version := _version(server)) >= OLDEST and shutil.which("erl")
    ]
    return max(found, key=lambda installation: installation.version, default=None)


def _version(server: Path) -> tuple[int, ...]:
    """The version, told by the name of its main plugin; (0,) if there is none beside the script."""
    for plugin in (server.parent.parent / "plugins").glob("rabbit-*"):
        match = re.fullmatch(r"rabbit-(\d+)\.(\d+)\.(\d+).*", plugin.name)
        if match:
            return tuple(int(number) for number in match.groups())
    return (0,)


def _unpacked() -> Installation:
    release = _release_name()
    root = cache.folder() / "rabbitmq" / release
    if not _is_complete(root):
        with cache.locked("rabbitmq"):
            if not _is_complete(root):
                _unpack(root)
    server = next(root.glob("usr/lib/rabbitmq/lib/rabbitmq_server-*/sbin/rabbitmq-server"))
    return Installation(
        server,
        _version(server),
        programs=(root / "usr/lib/erlang/bin",),
        libraries=(*root.glob("usr/lib/*-linux-gnu*"), *root.glob("lib/*-linux-gnu*")),
    )


def _release_name() -> str:
    try:
        system = platform.freedesktop_os_release()
    except OSError:
        system = {}
    return "-".join([system.get("ID", "unknown"), system.get("VERSION_ID", "0"), platform.machine()])


def _is_complete(root: Path) -> bool:
    # the tree holds its own absolute path, so that a moved or copied one is of no use
    try:
        return (root / "complete").read_text() == str(root)
    except FileNotFoundError:
        return False


def _unpack(root: Path) -> None:
    for program in ("apt-get", "dpkg"):
        if not shutil.which(program):
            raise LocalError(f"No RabbitMQ is installed, and without {program} none can be fetched. {WAYS_OUT}")
    print("Fetching RabbitMQ and Erlang (once, about 35 MB) ...", file=sys.stderr, flush=True)
    root.parent.mkdir(parents=True, exist_ok=True)
    for left_over in root.parent.glob(f"{root.name}.*"):
        shutil.rmtree(left_over)
    unfinished = Path(tempfile.mkdtemp(dir=root.parent, prefix=f"{root.name}."))
    try:
        unfinished.chmod(0o755)
        for package in _download(unfinished / "apt"):
            _run(["dpkg", "-x", str(package), str(unfinished)])
        shutil.rmtree(unfinished / "apt")
        _set_erlang_root(unfinished, root)
        server = next(unfinished.glob("usr/lib/rabbitmq/lib/rabbitmq_server-*/sbin/rabbitmq-server"))
        if _version(server) < OLDEST:
            version = ".".join(map(str, _version(server)))
            raise LocalError(f"apt offers RabbitMQ {version} only, which is too old. {WAYS_OUT}")
        (unfinished / "complete").write_text(str(root))
        shutil.rmtree(root, ignore_errors=True)
        unfinished.rename(root)
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)


def _download(folder: Path) -> list[Path]:
    """Fetch the packages that RabbitMQ needs and this machine lacks; the .deb files."""
    for part in ("lists/partial", "cache/archives/partial"):
        (folder / part).mkdir(parents=True)
    options = [
        "-qq", "-o", f"Dir::State::Lists={folder}/lists", "-o", f"Dir::Cache={folder}/cache",
        "-o", f"APT::Sandbox::User={getpass.getuser()}", "-o", "Debug::NoLocking=1", "-o", "Acquire::Retries=2",
    ]  # fmt: skip
    _run(["apt-get", *options, "update"])
    plan = _run(
        ["apt-get", *options, "-q=0", "install", "-s", "--no-install-recommends", "rabbitmq-server"]
    ).splitlines()
    packages = [line.split()[1] for line in plan if line.startswith("Inst ")]
    _run(["apt-get", *options, "download", *packages], cwd=folder)
    return sorted(folder.glob("*.deb"))


def _set_erlang_root(tree: Path, root: Path) -> None:
    """Debian's `erl` ignores ERL_ROOTDIR: write the final place into the scripts."""
    erlang = tree / "usr/lib/erlang"
    for script in [erlang / "bin/erl", erlang / "bin/start", *erlang.glob("erts-*/bin/erl"),
                   *erlang.glob("erts-*/bin/start")]:  # fmt: skip
        if script.is_file():
            script.write_text(script.read_text().replace("/usr/lib/erlang", str(root / "usr/lib/erlang")))


def _run(command: list[str], cwd: Path | None = None) -> str:
    environment = {**os.environ, "LC_ALL": "C.UTF-8", "DEBIAN_FRONTEND": "noninteractive"}
    done = subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        raise LocalError(f"{command[0]} failed: {(done.stderr or done.stdout).strip()[-600:]}\n{WAYS_OUT}")
    return done.stdout
