"""Facts about this machine and its user that ssh_config refers to, collected once as a value."""

from __future__ import annotations

import os
import pwd
import socket
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

HomeOf = Callable[[str], str | None]
"""Returns the home directory of a local user, or None if there is no such user."""


@dataclass(frozen=True, slots=True)
class Facts:
    """This machine and the user who runs this program.

    hostname: the result of gethostname(2), possibly with a domain. cwd: the base of relative paths.
    home_of: the lookup for `~user`.
    """

    user: str
    uid: int
    home: str
    hostname: str
    cwd: str
    environment: Mapping[str, str]
    home_of: HomeOf


def gather_facts() -> Facts:
    """Return the current facts. Like ssh, use the account's home directory and ignore $HOME."""
    uid = os.getuid()
    try:
        account = pwd.getpwuid(uid)
        user, home = account.pw_name, account.pw_dir
    except KeyError:  # a container's uid without an account
        user, home = str(uid), os.environ.get("HOME", "/")
    return Facts(
        user=user,
        uid=uid,
        home=home,
        hostname=socket.gethostname(),
        cwd=str(Path.cwd()),
        environment=dict(os.environ),
        home_of=_home_of,
    )


def _home_of(user: str) -> str | None:
    try:
        return pwd.getpwnam(user).pw_dir
    except KeyError:
        return None
