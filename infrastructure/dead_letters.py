"""`make dead-letters`: the tool of `shared.dead_letter_tool` on AMQP_URI, else on the running local stack."""

import os
import sys

from infrastructure.local.layout import Layout
from shared.dead_letter_tool import main as tool


def main(arguments: list[str]) -> int:
    """Command line; the exit code is the tool's."""
    broker = os.environ.get("AMQP_URI") or Layout.of(os.environ).read_environment().get("AMQP_URI")
    if not broker:
        print("error: no stack runs: start one with make up, or name a broker with AMQP_URI", file=sys.stderr)
        return 1
    return tool(arguments, {**os.environ, "AMQP_URI": broker})


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
