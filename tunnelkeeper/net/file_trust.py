"""Judgement of files by owner and mode: whether another user could write or replace them.

The rule is that of StrictModes in sshd: a file and every folder on the way to it belong to the user
or to root, and others cannot write there. A folder with the sticky bit, such as /tmp, is allowed,
because others cannot replace a file of the user in it. This module changes nothing.
"""

from __future__ import annotations

import grp
import os
import pwd
import shlex
import stat
from functools import cache
from pathlib import Path

from msgspec import Struct

from tunnelkeeper.core.message import Message
from tunnelkeeper.core.text import printable
from tunnelkeeper.net.path_walk import Component, walk

ROOT = 0
_PATH_LIMIT = 4096
_UID_MAP = Path("/proc/self/uid_map")
_OVERFLOW_UID = Path("/proc/sys/kernel/overflowuid")


class Distrust(Struct, frozen=True):
    """Why a file cannot be trusted. path: the file, folder or link at fault.

    is_owner: whether the reason is an owner, and not a mode.
    """

    path: str
    reason: str
    is_owner: bool = False

    def __str__(self) -> str:
        return f"{self.path} {self.reason}"

    def describe(self, path: str) -> Message:
        """Return the reason for a message about `path`. The hint is the command that mends it."""
        where = "" if path == self.path else f"{printable(self.path, _PATH_LIMIT)} "
        # As the owner's, a relay or a supervisor may need its folder.
        is_of_other = self.is_owner and os.geteuid() == ROOT
        hint = (
            f"`{remedy(self)}`, or run tunnelkeeper as that user" if is_of_other else remedy(self)
        )
        return Message(f"{where}{self.reason}", hint)


def find_distrust(
    path: str | os.PathLike[str], uid: int | None = None, *, owner_only: bool = False
) -> Distrust | None:
    """Return why a user other than `uid` and root could have written a file or could replace it.

    uid: None for the user of this process. owner_only: ignore the mode of the last component, for
    a socket, whose mode says who may connect. A missing file is judged by its folders.

    Raises:
        OSError: A folder is missing or may not be entered.
        ValueError: The path contains a null byte.
    """
    user = os.geteuid() if uid is None else uid
    with walk(path) as found:
        last = len(found.components) - 1
        for index, each in enumerate(found.components):
            reason = _judge(each, user, owner_only=owner_only and index == last)
            if reason is not None:
                return Distrust(each.path, reason)
    return None


def find_strict_distrust(path: str | os.PathLike[str], uid: int | None = None) -> list[Distrust]:
    """Return all reasons to refuse a config or key file, as StrictModes of sshd and ssh would.

    A private group may write, as for the ssh of Debian and Fedora: with umask 002, editors create
    such files. Folders above the user's home folder do not count (safe_path() in OpenSSH's
    misc.c). What is not a regular file is not judged: reading it fails, or gives nothing.

    uid: None for the user of this process.

    Raises:
        OSError: A folder is missing or may not be entered.
        ValueError: The path contains a null byte.
    """
    user = os.geteuid() if uid is None else uid
    with walk(path) as found:
        components = found.components
    home = _home(user)
    if components and home is not None and components[-1].path.startswith(f"{home}/"):
        above = set(map(str, Path(home).parents))
        components = [each for each in components if each.path not in above]
    return [judged for each in components if (judged := _judge_strictly(each, user)) is not None]


def remedy(distrust: Distrust) -> str:
    """Return the command that mends what is wrong."""
    path = shlex.quote(printable(distrust.path, _PATH_LIMIT))
    if not distrust.is_owner:
        return f"chmod go-w {path}"
    return f"chown -h {shlex.quote(_user_name(os.geteuid()))} {path}"


def judge_status(status: os.stat_result, uid: int | None = None) -> str | None:
    """Return why a file or folder cannot be trusted by its status alone; None if it can."""
    user = os.geteuid() if uid is None else uid
    if not is_owner_trusted(status.st_uid, user):
        return f"belongs to {describe_user(status.st_uid)}"
    if is_writable_by_others(status):
        return f"can be written by others (mode {stat.S_IMODE(status.st_mode):04o})"
    return None


def is_writable_by_others(status: os.stat_result) -> bool:
    """Return whether someone besides owner and root may write. A private group does not count."""
    if status.st_mode & stat.S_IWOTH:
        return True
    if not status.st_mode & stat.S_IWGRP:
        return False
    return not _is_private_group(status.st_gid, status.st_uid)


def is_owner_trusted(owner: int, user: int) -> bool:
    """Return whether a file of this owner is the user's own or root's."""
    return owner in {user, ROOT} or owner == _unmapped_root()


def describe_user(uid: int) -> str:
    """Return a user's name and id for messages."""
    try:
        return f"{pwd.getpwuid(uid).pw_name} (uid {uid})"
    except KeyError:
        return f"uid {uid}"


def _judge(component: Component, user: int, *, owner_only: bool) -> str | None:
    status = component.status
    if component.is_link or owner_only:  # the mode of a link has no meaning
        if is_owner_trusted(status.st_uid, user):
            return None
        kind = "is a symbolic link that belongs" if component.is_link else "belongs"
        return f"{kind} to {describe_user(status.st_uid)}"
    if stat.S_ISDIR(status.st_mode) and status.st_mode & stat.S_ISVTX:
        status = os.stat_result((status.st_mode & ~0o022, *status[1:]))
    return judge_status(status, user)


def _judge_strictly(component: Component, user: int) -> Distrust | None:
    mode = component.status.st_mode
    if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode) or component.is_link):
        return None
    reason = _judge(component, user, owner_only=False)
    if reason is None:
        return None
    return Distrust(
        component.path, reason, is_owner=not is_owner_trusted(component.status.st_uid, user)
    )


def _home(uid: int) -> str | None:
    """Return the real path of a user's home folder, unless it is `/`."""
    try:
        home = os.path.realpath(pwd.getpwuid(uid).pw_dir)
    except (KeyError, ValueError):
        return None
    return home if home != "/" else None


def _user_name(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)


def _is_private_group(gid: int, uid: int) -> bool:
    """Return whether a group is the owner's own: it has the owner's name and no other member.

    Debian and Fedora make such a group for each user, and umask 002 lets it write.
    """
    try:
        group, user = grp.getgrgid(gid), pwd.getpwuid(uid)
    except KeyError:
        return False
    return group.gr_name == user.pw_name and set(group.gr_mem) <= {user.pw_name}


def is_root_mapped(uid_map: str) -> bool:
    """Return whether the root of the surrounding system has an id in a user namespace.

    uid_map: the text of /proc/PID/uid_map; each line has the first id inside, the first id outside,
    and a count (user_namespaces(7)).
    """
    return any(line.split()[1:2] == ["0"] for line in uid_map.splitlines())


@cache
def _unmapped_root() -> int | None:
    """Return the id that root's files have in a user namespace without root; None elsewhere.

    In such a sandbox even `/` belongs to this id, as do the files of all other users of the system.
    Nothing inside shows which of them are root's.
    """
    try:
        if is_root_mapped(_UID_MAP.read_text()):
            return None
        return int(_OVERFLOW_UID.read_text())
    except (OSError, ValueError):
        return None
