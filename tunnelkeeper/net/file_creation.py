"""Opening of files to write, in folders that other users may be able to write to, such as /tmp.

In a folder of the user or of root, everything works as with open(2). Where others can write, a
symbolic link or file that another user may have put there is refused: writing through it could
overwrite any file of this user.
"""

from __future__ import annotations

import errno
import os
import stat
from typing import TYPE_CHECKING

from tunnelkeeper.net.file_trust import describe_user, is_owner_trusted, judge_status
from tunnelkeeper.net.path_walk import walk

if TYPE_CHECKING:
    from tunnelkeeper.net.path_walk import Walk

MODE = 0o600
"""Permissions of a new file."""


class PlantedFileError(PermissionError):
    """Another user may have put a file or link here to have it written to."""

    def __init__(self, path: str, reason: str) -> None:
        super().__init__(errno.EPERM, reason, path)


def open_to_write(path: str | os.PathLike[str], flags: int) -> int:
    """Open a file, creating it with MODE if O_CREAT is given, and return its descriptor.

    flags: for open(2). O_TRUNC is applied after the file has been checked.

    Raises:
        PlantedFileError: The path leads through a link, or to a file, that others may have planted.
        OSError: The file cannot be opened.
        ValueError: The path contains a null byte.
    """
    truncate = flags & os.O_TRUNC
    flags = (flags & ~os.O_TRUNC) | os.O_CLOEXEC
    with walk(path, follow_last=not flags & os.O_NOFOLLOW) as found:
        _check_links(found)
        is_exposed = judge_status(found.folder) is not None
        if not found.is_descriptor_link:
            flags |= os.O_NOFOLLOW
            if is_exposed and found.exists:
                _check_file(found.components[-1].path, found.components[-1].status)
        descriptor = os.open(found.name, flags, MODE, dir_fd=found.descriptor)
    try:
        status = os.fstat(descriptor)
        if is_exposed:  # again, because it may have been replaced since
            _check_file(os.fspath(path), status)
        if truncate and stat.S_ISREG(status.st_mode):
            os.ftruncate(descriptor, 0)
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def unlink(path: str | os.PathLike[str]) -> None:
    """Remove a file, or a link itself, unless others may have planted a link on the way to it.

    Raises:
        PlantedFileError: The folder is reached through such a link.
        OSError: The file cannot be removed.
    """
    folder, name = os.path.split(os.path.join(os.getcwd(), os.fspath(path)))  # noqa: PTH109, PTH118
    with walk(os.path.join(folder, "")) as found:  # noqa: PTH118
        _check_links(found)
        found.enter(found.name, folder)
        os.unlink(name, dir_fd=found.descriptor)


def _check_links(found: Walk) -> None:
    for each in found.components:
        if not each.is_link or judge_status(each.folder) is None:
            continue
        is_sticky = bool(each.folder.st_mode & stat.S_ISVTX)
        if not is_sticky or not is_owner_trusted(each.status.st_uid, os.geteuid()):
            raise PlantedFileError(
                each.path,
                f"a symbolic link of {describe_user(each.status.st_uid)} in a folder that others "
                "can write to; it is not followed. Remove it or choose a folder of your own",
            )


def _check_file(path: str, status: os.stat_result) -> None:
    """Refuse a file that others may have put into a folder that they can write to."""
    if not is_owner_trusted(status.st_uid, os.geteuid()):
        raise PlantedFileError(
            path,
            f"belongs to {describe_user(status.st_uid)}, in a folder that others can write to; "
            "remove it or choose a folder of your own",
        )
    if stat.S_ISREG(status.st_mode) and status.st_nlink > 1:
        raise PlantedFileError(
            path,
            "has another name (a hard link), and others can write to its folder; "
            "remove it or choose a folder of your own",
        )
