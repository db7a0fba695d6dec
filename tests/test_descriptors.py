"""A listening socket without descriptors for its clients, and the limits of a process."""

from __future__ import annotations

import errno
import os
import resource
import socket
import time
from typing import TYPE_CHECKING

import pytest

from tunnelkeeper import descriptors
from tunnelkeeper.descriptors import RESERVE, AcceptingSocket, are_exhausted, inherited

if TYPE_CHECKING:
    from collections.abc import Iterator


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
    listener.kept_back = RESERVE

    taken, address = listener.accept()

    assert address == client.getsockname()
    taken.close()


def test_without_room_it_says_so_once_and_then_waits(
    listener: AcceptingSocket, client: socket.socket, monkeypatch: pytest.MonkeyPatch
) -> None:
    del client
    listener.kept_back = RESERVE
    now = [100.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    with monkeypatch.context() as patched:
        patched.setattr(os, "dup", starve)
        with pytest.raises(OSError, match="Too many open files"):
            listener.accept()
        for _ in range(3):
            with pytest.raises(BlockingIOError):
                listener.accept()

    now[0] += 1
    taken, _ = listener.accept()
    taken.close()


@pytest.mark.parametrize(("lowest_free", "is_taken"), [(967, True), (968, False)])
def test_clients_leave_the_last_ones_to_others(
    listener: AcceptingSocket,
    client: socket.socket,
    monkeypatch: pytest.MonkeyPatch,
    lowest_free: int,
    is_taken: bool,
) -> None:
    del client
    listener.kept_back = RESERVE
    monkeypatch.setattr(resource, "getrlimit", lambda _: (1000, 1000))
    monkeypatch.setattr(os, "dup", lambda _: lowest_free)
    monkeypatch.setattr(os, "close", lambda _: None)  # it was not opened
    if is_taken:
        taken, _ = listener.accept()
        taken.close()
    else:
        with pytest.raises(OSError, match="Too many open files"):
            listener.accept()


def test_it_is_told_whether_one_more_can_be_had(monkeypatch: pytest.MonkeyPatch) -> None:
    assert not are_exhausted()
    monkeypatch.setattr(os, "open", starve)
    assert are_exhausted()


def test_a_limit_that_may_not_be_raised_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise ValueError("not allowed to raise maximum limit")

    monkeypatch.setattr(resource, "setrlimit", refuse)
    descriptors.raise_limit()

    assert inherited().soft == resource.getrlimit(resource.RLIMIT_NOFILE)[0]
