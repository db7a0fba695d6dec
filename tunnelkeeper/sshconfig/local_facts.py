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
    home_of: the lookup for `~user`. has_account: whether the user database has an entry for uid.
    """

    user: str
    uid: int
    home: str
    hostname: str
    cwd: str
    environment: Mapping[str, str]
    home_of: HomeOf
    has_account: bool = True


def gather_facts() -> Facts:
    """Return the current facts. Like ssh, use the account's home directory and ignore $HOME.

    Without an account, as in containers, take user and home from the environment.
    """
    uid = os.getuid()
    has_account = True
    try:
        account = pwd.getpwuid(uid)
        user, home = account.pw_name, account.pw_dir
    except KeyError:
        has_account = False
        user = os.environ.get("LOGNAME") or str(uid)
        home = os.environ.get("HOME") or "/"
    return Facts(
        user=user,
        uid=uid,
        home=home,
        hostname=socket.gethostname(),
        cwd=str(Path.cwd()),
        environment=dict(os.environ),
        home_of=_home_of,
        has_account=has_account,
    )


def _home_of(user: str) -> str | None:
    try:
        return pwd.getpwnam(user).pw_dir
    except KeyError:
        return None
