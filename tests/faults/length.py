"""Whether this is the long form, which `make faults LONG=1` asks for; LONG=0 and an empty LONG do not."""

import os

LONG = os.environ.get("LONG", "") not in ("", "0")
