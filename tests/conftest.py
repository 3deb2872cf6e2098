"""What all tests share but those in a browser, whose driver does not run where sockets and threads are patched."""

import eventlet

# Before anything else imports sockets or threads, as the services do.
eventlet.monkey_patch()

from tests.parts import PrivateParts, private_parts, unique_name  # noqa: E402

__all__ = ["PrivateParts", "private_parts", "unique_name"]

# A part of its own: `make test-browser`.
collect_ignore = ["browser"]
