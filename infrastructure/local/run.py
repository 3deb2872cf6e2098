"""`make run` and `make up`: the launcher, which stays with the stack from the first step to the last."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from typing import NoReturn

from infrastructure import programs
from infrastructure import selection as selections
from infrastructure.local import adding, claim, composition, leash
from infrastructure.local import settings as settings_module
from infrastructure.local.errors import LocalError
from infrastructure.local.layout import ROOT, Layout
from infrastructure.local.parts import Parts
from infrastructure.local.stack import Stack

Handler = Callable[[int, object], object] | signal.Handlers
READY = """
Bike Company is up.
  URL       {url}    (its API: {url}/docs, the map: {url}/map)
{mqtt}  Logs      {logs}
  Token     make token ROLE=operator      (rider, operator or vehicle)
  Next      curl {url}/health
{next}{end}"""
REPLAY = "            make replay, make demo   215 real rides through it, once or as a living fleet\n"
MQTT = "  MQTT      {address}    (for bikes: docs/mqtt.md)\n"
PART = "            make up SERVICES=...   adds to {services}\n"
READY_WITHOUT_GATEWAY = """
{services} run, without a gateway.
  Logs      {logs}
  Next      make shell         talks to them
            make up SERVICES=gateway   adds the gateway
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
    """Run the chosen services until told to stop, or add them to the stack that runs; the exit code.

    Raises LocalError when they cannot be started, SelectionError.
    """
    if not background:
        leash.die_with_parent(signal.SIGTERM)  # make, killed the hard way
    _on_stop_signals(_interrupt)
    try:
        selection, settings = selections.read(os.environ), settings_module.read(os.environ)
        try:
            with claim.claimed(layout):
                return _run(Stack(layout, settings, selection, say), background)
        except claim.AlreadyRuns:
            adding.add(layout, os.environ, say)
            return 0
    except Interrupted:
        say("Stopped.")
        return 130


def _run(stack: Stack, background: bool) -> int:
    code = 130
    try:
        stack.start()
        code = 0
        say(_ready(stack, "make down stops it." if background else "Ctrl-C stops it."))
        if background:
            _detach(stack.layout)
        stack.wait()
        raise LocalError(f"supervisord ended; its log is {stack.layout.log('supervisord')}")
    except Interrupted:
        say("Stopping ...")
        return code
    finally:
        _on_stop_signals(signal.SIG_IGN)
        if stack.stop():
            say("Stopped; no process is left.")


def _ready(stack: Stack, end: str) -> str:
    services = ", ".join(stack.selection.services)
    if programs.GATEWAY not in stack.selection.services:
        return READY_WITHOUT_GATEWAY.format(services=services, logs=stack.layout.logs, end=end)
    composed = composition.read(stack.layout)
    mqtt_address = Parts(stack.layout).mqtt_address(composed) if composed else None
    is_whole = stack.selection.services == selections.SERVICES
    return READY.format(
        url=stack.settings.gateway_url,
        mqtt=MQTT.format(address=mqtt_address) if mqtt_address else "",
        logs=stack.layout.logs,
        next=REPLAY if is_whole else PART.format(services=services),
        end=end,
    )


def _detach(layout: Layout) -> None:
    """Let go of the terminal: what is said from now on goes to a log."""
    log = os.open(layout.log("stack"), os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    for descriptor in (1, 2):
        os.dup2(log, descriptor)
    os.close(log)


def up(layout: Layout) -> int:
    """Start the launcher in the background and show what it says until it is ready or has failed; the exit code.

    When a stack runs, the services are added to it instead.
    """
    child = subprocess.Popen(
        [sys.executable, "-m", "infrastructure.local", "run-in-background"],
        cwd=ROOT,
        env={**os.environ, "BIKE_COMPANY_HOME": str(layout.folder)},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    try:
        _on_stop_signals(_interrupt)
        assert child.stdout is not None
        for line in child.stdout:
            print(line, end="", flush=True)
    except Interrupted:
        child.terminate()
        child.wait()
        say("Stopped.")
        return 130
    try:
        return child.wait(0.5)
    except subprocess.TimeoutExpired:
        return 0  # it runs, and has let go of its output
