"""The problems of a forward on this machine: addresses, socket paths and files. Opens no port."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from tunnelkeeper.core.forward_spec import (
    EVERY_INTERFACE,
    LocallyBoundForward,
    SocksForward,
    TcpAddress,
    UnixAddress,
    socket_path_problem,
    target_of,
)
from tunnelkeeper.core.host_spec import host_name_problem
from tunnelkeeper.core.message import Message
from tunnelkeeper.forwarding.socks_passwords import PasswordFileError, read_passwords

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tunnelkeeper.core.forward_spec import Address, Forward


def find_forward_problems(forward: Forward) -> Iterator[Message]:
    """Yield why a forward cannot work here, whatever the server permits."""
    target = target_of(forward)
    for end in (forward.listen, target):
        match end:
            case UnixAddress(path=path) if problem := socket_path_problem(path):
                yield Message(f"{forward}: {problem}")
            case TcpAddress(host=host) if problem := _address_problem(host):
                yield Message(f"{forward}: {host}: {problem}")
    if isinstance(forward, LocallyBoundForward):
        yield from _unusable_socket(forward, forward.listen)
        yield from _unusable_limits(forward)
    elif isinstance(target, UnixAddress):
        yield from _too_long_on_this_machine(forward, target.path)


def _unusable_limits(forward: LocallyBoundForward) -> Iterator[Message]:
    is_unix = isinstance(forward.listen, UnixAddress)
    if forward.allow_users and not is_unix and sys.platform != "linux":
        yield Message(
            f"{forward}: allow_users for a port needs Linux", "listen on a Unix socket instead"
        )
    if isinstance(forward, SocksForward) and forward.password_file:
        try:
            read_passwords(forward.password_file)
        except PasswordFileError as error:
            yield Message(f"{forward}: {error}", error.hint)


def _address_problem(host: str) -> str | None:
    return None if host == EVERY_INTERFACE else host_name_problem(host)


def _unusable_socket(forward: Forward, listen: Address) -> Iterator[Message]:
    if isinstance(listen, UnixAddress):
        yield from _too_long_on_this_machine(forward, listen.path)
        directory = Path(_expand_home(listen.path)).parent
        if not os.access(directory, os.W_OK | os.X_OK):
            yield Message(f"{forward}: the directory {directory} is missing or not writable")


def _too_long_on_this_machine(forward: Forward, path: str) -> Iterator[Message]:
    """Yield a problem if a path is too long only after its ~ is replaced."""
    problem = socket_path_problem(_expand_home(path))
    if problem is not None and not socket_path_problem(path):
        yield Message(f"{forward}: {problem}")


def _expand_home(path: str) -> str:
    return os.path.expanduser(path)  # noqa: PTH111  raises nothing
