"""`python -m infrastructure.programs_health`: exit code 0 if all processes of this container are healthy, else 1.

For the health check of a container that runs several; which, say SERVICES and PROCESSES. It needs the standard library
only, for it runs every few seconds.
"""

import os
import sys
from collections.abc import Mapping

from infrastructure import selection as selections
from infrastructure.selection import SelectionError
from shared import healthcheck


def check(environ: Mapping[str, str]) -> tuple[bool, str]:
    """Whether each process answers 200, and a line for each that does not."""
    try:
        number = sum(selections.read(environ).processes.values())
    except SelectionError as error:
        return False, str(error)
    # each has the status port that `infrastructure.programs` has counted for it
    answers = [healthcheck.check({**environ, "PROCESS_NUMBER": str(each)}) for each in range(number)]
    ill = [f"process {each}: {says}" for each, (healthy, says) in enumerate(answers) if not healthy]
    return not ill, "\n".join(ill) or f"{number} processes are healthy"


if __name__ == "__main__":
    healthcheck.limit_time()
    healthy, says = check(os.environ)
    print(says)
    sys.exit(0 if healthy else 1)
