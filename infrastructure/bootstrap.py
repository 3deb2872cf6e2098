"""Make .venv with what requirements.lock names, checked against its hashes. Does nothing when that is done already.

Runs before anything is installed, so it uses the standard library only. uv is used where there is one, else pip, be
it that of this Python or, where Debian has left it out, the one of the package python3-pip-whl.
"""

import fcntl
import hashlib
import importlib.util
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
LOCK = ROOT / "requirements.lock"
VENV = ROOT / ".venv"
PYTHON = VENV / "bin" / "python"
STAMP = VENV / ".installed"
UNFINISHED = VENV / ".unfinished"


class SetupError(Exception):
    """What went wrong and what to do about it."""


def stamp() -> str:
    """What must not have changed for the environment to be of use; its scripts hold its absolute path."""
    return f"{hashlib.sha256(LOCK.read_bytes()).hexdigest()} {VENV}\n"


def is_complete() -> bool:
    try:
        return STAMP.read_text() == stamp() and PYTHON.exists()
    except FileNotFoundError:
        return False


def is_sound() -> bool:
    """Whether packages can be added to the environment that is there."""
    if UNFINISHED.exists() or not PYTHON.exists():
        return False
    return not STAMP.exists() or STAMP.read_text().rstrip("\n").endswith(f" {VENV}")


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def succeeds(command: list[str], environment: dict[str, str] | None = None, quiet: bool = False) -> bool:
    """Run the command, its output shown on standard error; whether it went well."""
    output = subprocess.DEVNULL if quiet else sys.stderr
    try:
        return subprocess.run(command, env=environment, stdout=output, stderr=output, check=False).returncode == 0
    except OSError:
        return False


def uv_commands() -> Iterator[list[str]]:
    uv = shutil.which("uv") or str(Path.home() / ".local/bin/uv")
    if not succeeds([uv, "--version"], quiet=True):
        return
    install = [uv, "pip", "install", "--python", str(PYTHON), "--require-hashes", "-r", str(LOCK)]
    yield [*install, "--offline", "--quiet"]
    yield install


def pip_command() -> list[str]:
    """pip as a program that installs into the environment. Raises SetupError when there is none to be had."""
    arguments = ["install", "--require-hashes", "--disable-pip-version-check", "-r", str(LOCK)]
    wheel = bundled_pip() or fetched_pip()
    if wheel:
        return [str(PYTHON), str(wheel / "pip"), *arguments]
    if importlib.util.find_spec("pip"):
        return [sys.executable, "-m", "pip", "--python", str(PYTHON), *arguments]
    raise SetupError("this Python has no pip. Install it (Debian, Ubuntu: apt-get install python3-venv), or install uv")


def bundled_pip() -> Path | None:
    folders = [Path("/usr/share/python-wheels")]
    ensurepip = importlib.util.find_spec("ensurepip")
    if ensurepip and ensurepip.origin:
        folders.append(Path(ensurepip.origin).parent / "_bundled")
    wheels = [wheel for folder in folders for wheel in sorted(folder.glob("pip-*.whl"))]
    return wheels[-1] if wheels else None


def fetched_pip() -> Path | None:
    """pip's wheel out of Debian's package, kept in the user's cache folder; None where there is no apt."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "bike-company" / "pip-wheel"
    if not any(cache.glob("pip-*.whl")):
        if not (shutil.which("apt-get") and shutil.which("dpkg")):
            return None
        say("Fetching pip from the package python3-pip-whl ...")
        cache.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=cache) as folder:
            for part in ("lists/partial", "cache/archives/partial"):
                (Path(folder) / part).mkdir(parents=True)
            apt = [
                "apt-get", "-qq", "-o", f"Dir::State::Lists={folder}/lists", "-o", f"Dir::Cache={folder}/cache",
                "-o", "APT::Sandbox::User=", "-o", "Debug::NoLocking=1",
            ]  # fmt: skip
            if not succeeds([*apt, "update"]):
                return None
            if subprocess.run([*apt, "download", "python3-pip-whl"], cwd=folder, check=False).returncode:
                return None
            for package in Path(folder).glob("*.deb"):
                subprocess.run(["dpkg", "-x", str(package), folder], check=True)
            for wheel in Path(folder).glob("usr/share/python-wheels/pip-*.whl"):
                wheel.rename(cache / wheel.name)
    return next(cache.glob("pip-*.whl"), None)


def install() -> None:
    # an inspecting proxy has its certificate in the system's store only; the option's older and its newer name
    environment = {"UV_NATIVE_TLS": "true", "UV_SYSTEM_CERTS": "true", **os.environ}
    if "PIP_INDEX_URL" in environment and not {"UV_INDEX_URL", "UV_DEFAULT_INDEX"} & environment.keys():
        environment["UV_DEFAULT_INDEX"] = environment["PIP_INDEX_URL"]
    for command in uv_commands():
        if succeeds(command, environment, quiet="--offline" in command):
            return
    say("Installing with pip ...")
    if not succeeds(pip_command()):
        raise SetupError("the packages of requirements.lock could not be installed; the reason stands above")


def set_up() -> None:
    if is_complete():
        return
    if not is_sound():
        shutil.rmtree(VENV, ignore_errors=True)
    VENV.mkdir(exist_ok=True)
    UNFINISHED.touch()
    if not PYTHON.exists():
        say(f"Making .venv with {sys.executable} ...")
        if not succeeds([sys.executable, "-m", "venv", "--without-pip", str(VENV)]):
            raise SetupError("this Python cannot make a virtual environment (Debian: apt-get install python3-venv)")
    say("Installing the packages of requirements.lock ...")
    install()
    temporary = STAMP.with_suffix(".new")
    temporary.write_text(stamp())
    temporary.replace(STAMP)
    UNFINISHED.unlink()


def interrupt(signal_number: int, frame: object) -> None:
    raise KeyboardInterrupt


def main() -> int:
    for each in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(each, interrupt)
    try:
        folder = os.open(ROOT, os.O_RDONLY)
        fcntl.flock(folder, fcntl.LOCK_EX)  # two makes at once: the second waits, and finds it done
        set_up()
    except SetupError as error:
        say(f"error: {error}")
        return 1
    except OSError as error:
        say(f"error: the set-up failed: {error}")
        return 1
    except KeyboardInterrupt:
        say("Interrupted; run make again to go on.")
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
