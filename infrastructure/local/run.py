"""`make run` and `make up`: the launcher, which stays with the stack from the first step to the last."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from typing import NoReturn

from infrastructure.local import leash
from infrastructure.local import settings as settings_module
from infrastructure.local import stack as stacks
from infrastructure.local.errors import LocalError
from infrastructure.local.layout import ROOT, Layout

Handler = Callable[[int, object], object] | signal.Handlers
READY = """
Bike Company is up.
  URL       {url}    (its API: {url}/docs)
  Logs      {logs}
  Token     make token ROLE=operator      (rider, operator or vehicle)
  Next      curl {url}/health
            make replay        rides 215 real trips through it
{end}"""


class Interrupted(BaseException):
    """Ctrl-C, SIGTERM or a closed terminal."""


def _interrupt(number: int, frame: object) -> NoReturn:
    _on_stop_signals(signal.SIG_IGN)  # once is enough: what follows is the orderly stop
    raise Interrupted


def _on_stop_signals(handler: Handler) -> None:
    for each in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(each, handler)


def say(text: str) -> None:
    print(text, flush=True)


def run(layout: Layout, background: bool = False) -> int:
    """Run the stack until it is told to stop; the exit code. Raises LocalError when it cannot be started."""
    if not background:
        leash.die_with_parent(signal.SIGTERM)  # make, killed the hard way
    _on_stop_signals(_interrupt)
    try:
        settings = settings_module.read(os.environ)
        with stacks.claimed(layout):
            return _run(stacks.Stack(layout, settings, say), background)
    except Interrupted:
        say("Stopped.")
        return 130


def _run(stack: stacks.Stack, background: bool) -> int:
    try:
        stack.prepare()
        stack.start()
        stack.wait_ready()
        end = "make down stops it." if background else "Ctrl-C stops it."
        say(READY.format(url=stack.settings.gateway_url, logs=stack.layout.logs, end=end))
        if background:
            _detach(stack.layout)
        stack.wait()
        raise LocalError(f"supervisord ended; its log is {stack.layout.log('supervisord')}")
    except Interrupted:
        say("Stopping ...")
        return 0
    finally:
        _on_stop_signals(signal.SIG_IGN)
        if stack.stop():
            say("Stopped; no process is left.")


def _detach(layout: Layout) -> None:
    """Let go of the terminal: what is said from now on goes to a log."""
    log = os.open(layout.log("stack"), os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    for descriptor in (1, 2):
        os.dup2(log, descriptor)
    os.close(log)


def up(layout: Layout) -> int:
    """Start the launcher in the background and show what it says until it is ready or has failed; the exit code."""
    child = subprocess.Popen(
        [sys.executable, "-m", "infrastructure.local", "run-in-background"],
        cwd=ROOT, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        start_new_session=True,
    )  # fmt: skip
    try:
        _on_stop_signals(_interrupt)
        assert child.stdout is not None
        for line in child.stdout:
            print(line, end="", flush=True)
    except Interrupted:
        child.terminate()
        child.wait()
        say("Stopped; no process is left.")
        return 130
    try:
        return child.wait(0.5) or 1
    except subprocess.TimeoutExpired:
        return 0  # it runs, and has let go of its output
