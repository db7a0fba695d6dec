"""A listening socket without descriptors for its clients, and the limits of a process."""

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


def starve(*_: object) -> int:
    raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))


def test_a_client_is_taken_while_there_is_room(
    listener: AcceptingSocket, client: socket.socket
) -> None:
    reserve_fd(listener)
    taken, address = listener.accept()

    assert address == client.getsockname()
    taken.close()


def test_without_room_it_says_so_once_and_then_waits(
    listener: AcceptingSocket, client: socket.socket, monkeypatch: pytest.MonkeyPatch
) -> None:
    del client
    now = [100.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    with monkeypatch.context() as patched:
        patched.setattr(socket.socket, "accept", starve)
        with pytest.raises(OSError, match="Too many open files"):
            listener.accept()
        for _ in range(3):
            with pytest.raises(BlockingIOError):
                listener.accept()

    now[0] += 1
    taken, _ = listener.accept()
    taken.close()


@pytest.mark.parametrize(
    ("limit", "lowest_free", "has_room"),
    [(1000, 967, True), (1000, 968, False), (64, 47, True), (64, 48, False)],
)
def test_clients_leave_the_last_ones_to_others(
    listener: AcceptingSocket,
    monkeypatch: pytest.MonkeyPatch,
    limit: int,
    lowest_free: int,
    has_room: bool,
) -> None:
    monkeypatch.setattr(resource, "getrlimit", lambda _: (limit, limit))
    monkeypatch.setattr(os, "dup", lambda _: lowest_free)
    monkeypatch.setattr(os, "close", lambda _: None)  # it was not opened
    if has_room:
        reserve_fd(listener)
    else:
        with pytest.raises(OSError, match="Too many open files"):
            reserve_fd(listener)


def test_it_is_told_whether_one_more_can_be_had(monkeypatch: pytest.MonkeyPatch) -> None:
    assert not are_exhausted()
    monkeypatch.setattr(os, "open", starve)
    assert are_exhausted()


def test_a_limit_that_may_not_be_raised_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise ValueError("not allowed to raise maximum limit")

    monkeypatch.setattr(resource, "setrlimit", refuse)
    fd_limits.raise_limit()

    assert inherited().soft == resource.getrlimit(resource.RLIMIT_NOFILE)[0]


# -- programs that we run --------------------------------------------------------------------------


@pytest.fixture
def raised(monkeypatch: pytest.MonkeyPatch) -> int:
    """The limit that this process claims to have been started with: lower than the one it has."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    monkeypatch.setattr(fd_limits, "inherited", lambda: Limit(soft - 1, hard))
    return soft - 1


def output_of(command: list[str]) -> str:
    return subprocess.check_output(with_inherited_limit(command), text=True)


def test_a_program_gets_the_limit_back_that_was_there_before_it_was_raised(raised: int) -> None:
    assert output_of(["sh", "-c", "ulimit -S -n"]) == f"{raised}\n"


@pytest.mark.usefixtures("raised")
def test_no_shell_reads_the_words_of_a_program() -> None:
    words = ["; id", "$(id)", "`id`", "two\nlines", "", "'\"\\"]

    assert output_of(["printf", "<%s>", *words]) == "".join(f"<{word}>" for word in words)


def test_a_limit_that_was_not_raised_needs_no_shell() -> None:
    assert with_inherited_limit(["no such program", "$1"]) == ["no such program", "$1"]


@pytest.mark.usefixtures("raised")
def test_a_program_that_cannot_be_run_is_told_before_it_is(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="no such program"):
        with_inherited_limit(["no such program"])
    with pytest.raises(PermissionError):
        with_inherited_limit([str(tmp_path)])
