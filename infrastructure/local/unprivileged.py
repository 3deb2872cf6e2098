"""PostgreSQL refuses to run as root: how a command is run as somebody else, by root, without opening any folder."""

import functools
import os
import pwd
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from infrastructure.local.errors import LocalError


@dataclass(frozen=True)
class Wrapper:
    """`prefix` goes before a command; `owner` (uid, gid) must own the data, None when that stays as it is."""

    prefix: tuple[str, ...] = ()
    owner: tuple[int, int] | None = None

    def own(self, folder: Path) -> None:
        if self.owner:
            os.chown(folder, *self.owner)


def user_namespace() -> Wrapper:
    """Root seen as an ordinary user by the command: files stay root's, outside."""
    return Wrapper(("unshare", "--user", "--map-user=1000", "--map-group=1000", "--"))


def nobody() -> Wrapper:
    """The user `nobody`, who keeps the right to pass through folders closed to all but root, such as /root."""
    entry = pwd.getpwnam("nobody")
    prefix = (
        "setpriv", f"--reuid={entry.pw_uid}", f"--regid={entry.pw_gid}", "--clear-groups",
        "--inh-caps=+dac_override", "--ambient-caps=+dac_override",
        # a change of user clears the parent-death signal that was set before
        "--pdeathsig=SIGINT", "--",
    )  # fmt: skip
    return Wrapper(prefix, (entry.pw_uid, entry.pw_gid))


@functools.cache
def find_wrapper(owner: int | None = None) -> Wrapper:
    """How to run PostgreSQL here; `owner` is the uid that owns existing data, if any.

    Raises LocalError when this is root and there is no way to be anybody else.
    """
    if os.geteuid() != 0:
        return Wrapper()
    candidates = [user_namespace(), nobody()]
    if owner:  # data of `nobody` cannot be read by root in a namespace of its own
        candidates.reverse()
    for wrapper in candidates:
        if shutil.which(wrapper.prefix[0]) and _works(wrapper.prefix):
            return wrapper
    raise LocalError(
        "PostgreSQL does not run as root, and neither unshare nor setpriv (package util-linux) can change the user "
        "here.\nRun make as an ordinary user, or set BIKE_DATABASE_URL and TRIP_DATABASE_URL to a PostgreSQL server."
    )


def _works(prefix: Sequence[str]) -> bool:
    return subprocess.run([*prefix, "true"], capture_output=True, check=False).returncode == 0
