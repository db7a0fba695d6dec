"""What ssh_config may ask of this machine and its user. Read once, then handed in as a value."""

from __future__ import annotations

import os
import pwd
import socket
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

HomeOf = Callable[[str], str | None]
"""The home of a local user, or None where there is no such user."""


@dataclass(frozen=True, slots=True)
class Facts:
    """This machine and the user who runs this program.

    hostname: what gethostname(2) says, with its domain where it has one. folder: what relative
    paths are relative to. home_of answers for `~user`.
    """

    user: str
    uid: int
    home: str
    hostname: str
    cwd: str
    environment: Mapping[str, str]
    home_of: HomeOf


def gather_facts() -> Facts:
    """The facts here and now. The home is the account's, as for ssh: $HOME is not asked."""
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
