"""`make shell`: nameko's shell, wired to the running stack."""

import os
import sys
import warnings
from importlib import import_module

from infrastructure.local.errors import LocalError
from infrastructure.local.layout import Layout


def shell(layout: Layout) -> None:
    """Become `nameko shell`. Raises LocalError when no stack runs and AMQP_URI does not name a broker."""
    broker = os.environ.get("AMQP_URI") or layout.read_environment().get("AMQP_URI")
    if not broker:
        raise LocalError("No stack runs: start one with make up, or name a broker with AMQP_URI.")
    warnings.filterwarnings("ignore", message=r"\s*Eventlet is deprecated")
    # nameko raises a domain error as its own class where that class is known, as RemoteError elsewhere
    import_module("shared.errors")
    nameko = import_module("nameko.cli.main")
    sys.argv = ["nameko", "shell", "--broker", broker]
    nameko.main()
