"""The user of a relay that root starts: `--user NAME` of `relay serve`.

Root reads relay.toml and the host keys and binds the ports. Then the process becomes the user for
good, as sshd's children do, before the first client is served. All later files are read and written
as that user: authorized keys, bans, the control socket, and relay.toml at a reload.
"""

from __future__ import annotations

import os
import pwd
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import tunnelkeeper
from tunnelkeeper.core.message import HintedError

if TYPE_CHECKING:
    from collections.abc import Iterator, MutableMapping
    from pathlib import Path

ROOT = 0

_NEEDS_USER = (
    "name a user with --user, which it becomes after it has bound "
    "its ports, or let systemd run it (`tunnelkeeper units print --system --kind relay`). "
    "Where root is the only user, as in a container: --user root"
)


class PrivilegeError(HintedError):
    """Raised if a relay cannot run as its user. The text gives the reason."""


@dataclass(frozen=True, slots=True)
class Account:
    """A user to become. groups: all of its groups, the primary one included."""

    name: str
    uid: int
    gid: int
    home: str
    groups: tuple[int, ...]


def account_for(user: str) -> Account | None:
    """Return the account that this process has to become, or None if it stays what it is.

    user: of --user; empty without it. Raises PrivilegeError.
    """
    if os.geteuid() != ROOT:
        if user not in {"", _own_name()}:
            raise PrivilegeError(f"only root can become another user: --user {user}")
        return None
    if not user:
        raise PrivilegeError("the relay would serve as root", _NEEDS_USER)
    try:
        found = pwd.getpwnam(user)
    except (KeyError, ValueError):
        raise PrivilegeError(f"no such user: --user {user}") from None
    if found.pw_uid == ROOT:
        return None
    groups = tuple(os.getgrouplist(found.pw_name, found.pw_gid))
    account = Account(found.pw_name, found.pw_uid, found.pw_gid, found.pw_dir, groups)
    _check_program(account)
    return account


@contextmanager
def acting_as(account: Account | None) -> Iterator[None]:
    """Be the user for the time of the body; None changes nothing.

    It must not run beside other threads.
    """
    if account is None:
        yield
        return
    groups, gid, uid = os.getgroups(), os.getegid(), os.geteuid()
    os.setgroups(account.groups)
    os.setegid(account.gid)
    os.seteuid(account.uid)
    try:
        yield
    finally:
        os.seteuid(uid)
        os.setegid(gid)
        os.setgroups(groups)


def become(account: Account) -> None:
    """Become the user for good, and check that there is no way back.

    Raises PrivilegeError.
    """
    try:
        os.setgroups(account.groups)
        os.setgid(account.gid)
        os.setuid(account.uid)
    except OSError as error:
        raise PrivilegeError(f"cannot become {account.name}: {error.strerror}") from error
    ids = {os.getuid(), os.geteuid()}, {os.getgid(), os.getegid()}, set(os.getgroups())
    if ids != ({account.uid}, {account.gid}, set(account.groups)) or _can_become_root():
        raise PrivilegeError(f"could not give up all rights of root for {account.name}")


def set_environment(account: Account, env: MutableMapping[str, str]) -> None:
    """Set the variables that a login of the user would set; forget the folders of the caller."""
    for name in ("XDG_CONFIG_HOME", "XDG_STATE_HOME", "XDG_RUNTIME_DIR", "XDG_CACHE_HOME"):
        env.pop(name, None)
    env.update(HOME=account.home, USER=account.name, LOGNAME=account.name)


def make_runtime_folder(account: Account, folder: Path) -> None:
    """Create a folder for the control socket that belongs to the user, if it does not exist.

    It must be in a folder that only root can write. Raises OSError.
    """
    try:
        folder.mkdir(mode=0o700)
    except FileExistsError:
        return
    os.chown(folder, account.uid, account.gid, follow_symlinks=False)


def _check_program(account: Account) -> None:
    """Check that the user can read the program, parts of which are loaded later."""
    with acting_as(account):
        for module in (os, tunnelkeeper):
            path = module.__file__
            if path is not None and not os.access(path, os.R_OK, effective_ids=True):
                raise PrivilegeError(
                    f"{account.name} cannot read the program ({path})",
                    "install it where every user can read it, such as /opt or /usr/local",
                )


def _can_become_root() -> bool:
    try:
        os.setuid(ROOT)
    except PermissionError:
        return False
    return True


def _own_name() -> str:
    try:
        return pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:
        return str(os.geteuid())
