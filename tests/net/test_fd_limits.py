"""A listening socket that runs out of descriptors, and the limits of a process."""

from __future__ import annotations

import errno
import os
import resource
import socket
import subprocess
import time
from typing import TYPE_CHECKING

import pytest

from tunnelkeeper.net import fd_limits
from tunnelkeeper.net.fd_limits import (
    AcceptingSocket,
    Limit,
    are_exhausted,
    inherited,
    reserve_fd,
    with_inherited_limit,
)

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def listener() -> Iterator[AcceptingSocket]:
    with AcceptingSocket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        listener.setblocking(False)
        yield listener


@pytest.fixture
def client(listener: AcceptingSocket) -> Iterator[socket.socket]:
    with socket.create_connection(listener.getsockname()) as client:
        yield client


def fail_without_descriptors(*_: object) -> int:
    raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))


def test_a_client_is_accepted_while_descriptors_are_free(
    listener: AcceptingSocket, client: socket.socket
) -> None:
    reserve_fd(listener)
    accepted, address = listener.accept()

    assert address == client.getsockname()
    accepted.close()


def test_without_descriptors_accept_fails_once_and_then_asks_the_caller_to_wait(
    listener: AcceptingSocket, client: socket.socket, monkeypatch: pytest.MonkeyPatch
) -> None:
    del client
    now = [100.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    with monkeypatch.context() as patched:
        patched.setattr(socket.socket, "accept", fail_without_descriptors)
        with pytest.raises(OSError, match="Too many open files"):
            listener.accept()
        for _ in range(3):
            with pytest.raises(BlockingIOError):
                listener.accept()

    now[0] += 1
    accepted, _ = listener.accept()
    accepted.close()


@pytest.mark.parametrize(
    ("limit", "lowest_free_fd", "is_allowed"),
    [(1000, 935, True), (1000, 936, False), (64, 47, True), (64, 48, False)],
)
def test_clients_cannot_use_the_descriptors_of_the_reserve(
    listener: AcceptingSocket,
    monkeypatch: pytest.MonkeyPatch,
    limit: int,
    lowest_free_fd: int,
    is_allowed: bool,
) -> None:
    monkeypatch.setattr(resource, "getrlimit", lambda _: (limit, limit))
    monkeypatch.setattr(os, "dup", lambda _: lowest_free_fd)
    monkeypatch.setattr(os, "close", lambda _: None)  # the fake dup() opened nothing
    if is_allowed:
        reserve_fd(listener)
    else:
        with pytest.raises(OSError, match="Too many open files"):
            reserve_fd(listener)


def test_exhaustion_of_descriptors_is_detected(monkeypatch: pytest.MonkeyPatch) -> None:
    assert not are_exhausted()
    monkeypatch.setattr(os, "open", fail_without_descriptors)
    assert are_exhausted()


def test_a_limit_that_cannot_be_raised_is_unchanged(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise ValueError("not allowed to raise maximum limit")

    monkeypatch.setattr(resource, "setrlimit", refuse)
    fd_limits.raise_limit()

    assert inherited().soft == resource.getrlimit(resource.RLIMIT_NOFILE)[0]


# -- child processes -------------------------------------------------------------------------------


@pytest.fixture
def raised(monkeypatch: pytest.MonkeyPatch) -> int:
    """Pretend that the process was started with a lower limit than it has; return that limit."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    monkeypatch.setattr(fd_limits, "inherited", lambda: Limit(soft - 1, hard))
    return soft - 1


def output_of(command: list[str]) -> str:
    return subprocess.check_output(with_inherited_limit(command), text=True)


def test_a_child_process_gets_the_inherited_limit(raised: int) -> None:
    assert output_of(["sh", "-c", "ulimit -S -n"]) == f"{raised}\n"


@pytest.mark.usefixtures("raised")
def test_the_shell_does_not_parse_the_arguments_of_a_program() -> None:
    arguments = ["; id", "$(id)", "`id`", "two\nlines", "", "'\"\\"]

    assert output_of(["printf", "<%s>", *arguments]) == "".join(f"<{each}>" for each in arguments)


def test_an_unchanged_limit_needs_no_shell() -> None:
    assert with_inherited_limit(["no such program", "$1"]) == ["no such program", "$1"]


@pytest.mark.usefixtures("raised")
def test_a_program_that_cannot_be_run_is_an_error_before_it_starts(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="no such program"):
        with_inherited_limit(["no such program"])
    with pytest.raises(PermissionError):
        with_inherited_limit([str(tmp_path)])
