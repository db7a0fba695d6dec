"""The components of a path, one at a time, with the owner and mode of each.

Symbolic links are followed here and not by the kernel, so that a caller can judge each of them and
then open the last component in the folder that was judged. This module judges nothing.
"""

from __future__ import annotations

import errno
import os
import stat
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

MAX_LINKS = 40
"""Symbolic links in one path (path_resolution(7))."""

# O_PATH opens a folder that may be entered but not read. macOS lacks it.
_FOLDER_FLAGS = getattr(os, "O_PATH", 0) | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_PROC = "/proc"


@dataclass(frozen=True, slots=True)
class Component:
    """A component of a path. status: by lstat(2). folder: the status of the folder it is in."""

    path: str
    status: os.stat_result
    folder: os.stat_result

    @property
    def is_link(self) -> bool:
        """Whether it is a symbolic link."""
        return stat.S_ISLNK(self.status.st_mode)


@dataclass(slots=True)
class Walk:
    """A path that was followed.

    components: in order, with the symbolic links and what they lead to. descriptor: the folder of
    the last component, open during the walk. folder: its path and status. name: the last
    component in it, which is no link. exists: whether there is such a file.
    is_descriptor_link: the last component is a link below /proc that stands for an open file, such
    as /dev/stderr, which only the kernel can follow.
    """

    descriptor: int
    folder_path: str
    folder: os.stat_result
    components: list[Component] = field(default_factory=list)
    name: str = "."
    exists: bool = True
    is_descriptor_link: bool = False

    def enter(self, name: str, path: str) -> None:
        """Make a folder the current one."""
        descriptor = os.open(name, _FOLDER_FLAGS, dir_fd=self.descriptor)
        os.close(self.descriptor)
        self.descriptor = descriptor
        self.folder_path = path
        self.folder = os.fstat(descriptor)

    def enter_root(self) -> None:
        """Make `/` the current folder."""
        self.enter("/", "/")


@contextmanager
def walk(path: str | os.PathLike[str], *, follow_last: bool = True) -> Iterator[Walk]:
    """Follow a path, which is relative to the current folder. The last component may be missing.

    follow_last: whether to follow a symbolic link in the last component.

    Raises:
        OSError: A folder is missing or may not be entered, or the links form a loop (ELOOP).
        ValueError: The path contains a null byte.
    """
    root = os.open("/", _FOLDER_FLAGS)
    state = Walk(root, "/", os.fstat(root))
    try:
        _follow(state, os.path.join(os.getcwd(), os.fspath(path)), follow_last)  # noqa: PTH109, PTH118
        yield state
    except OSError as error:
        if error.filename is None or not str(error.filename).startswith("/"):
            error.filename = os.fspath(path)
        raise
    finally:
        os.close(state.descriptor)


def _follow(state: Walk, path: str, follow_last: bool) -> None:
    pending = _split(path)
    links = 0
    while pending:
        name = pending.pop(0)
        state.name, state.exists = name, True
        if name == "..":
            state.enter("..", os.path.dirname(state.folder_path))  # noqa: PTH120
            state.name = "."
            continue
        full = os.path.join(state.folder_path, name)  # noqa: PTH118
        try:
            status = os.stat(name, dir_fd=state.descriptor, follow_symlinks=False)
        except FileNotFoundError:
            if pending:
                raise
            state.exists = False
            return
        component = Component(full, status, state.folder)
        state.components.append(component)
        if component.is_link and (pending or links or follow_last):
            if not pending and full.startswith(f"{_PROC}/") and "/fd/" in full:
                state.is_descriptor_link = True
                return
            links += 1
            if links > MAX_LINKS:
                raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), path)
            target = os.readlink(name, dir_fd=state.descriptor)
            if target.startswith("/"):
                state.enter_root()
            pending = _split(target) + pending
            state.name = "."
        elif pending:
            state.enter(name, full)


def _split(path: str) -> list[str]:
    return [part for part in path.split("/") if part not in {"", "."}]
