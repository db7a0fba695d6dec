from __future__ import annotations

import os
import socket
import threading
from contextlib import suppress
from typing import TYPE_CHECKING

import pytest

from tunnelkeeper.cli.connect import relay_stdio

if TYPE_CHECKING:
    from collections.abc import Iterator

DEADLINE = 30.0


class Carried:
    """A carried socket: what a shell has on both sides of it, and the target."""

    def __init__(self, early: bytes = b"") -> None:
        ours, self.target = socket.socketpair()
        stdin, self.stdin = os.pipe()
        self.stdout, stdout = os.pipe()
        self.target.settimeout(DEADLINE)

        def run() -> None:
            with ours:
                relay_stdio(ours, early, stdin, stdout)
            os.close(stdin)
            os.close(stdout)

        self._thread = threading.Thread(target=run)
        self._thread.start()
        self._open = {self.stdin, self.stdout}

    def close(self, descriptor: int) -> None:
        self._open.discard(descriptor)
        os.close(descriptor)

    def ends(self) -> bool:
        self._thread.join(DEADLINE)
        return not self._thread.is_alive()

    def tidy(self) -> None:
        self.target.close()
        for descriptor in list(self._open):
            self.close(descriptor)
        assert self.ends()


def send_until_full(sock: socket.socket) -> int:
    """How many bytes went in until the socket, and all that it is carried to, took no more."""
    sent = 0
    sock.settimeout(0.2)
    with suppress(TimeoutError):
        while True:
            sent += sock.send(b"x" * 65536)
    sock.settimeout(DEADLINE)
    return sent


@pytest.fixture
def carried() -> Iterator[Carried]:
    found = Carried()
    yield found
    found.tidy()


def read_all(descriptor: int) -> bytes:
    chunks = []
    while chunk := os.read(descriptor, 65536):
        chunks.append(chunk)
    return b"".join(chunks)


def test_bytes_go_both_ways(carried: Carried) -> None:
    os.write(carried.stdin, b"question")
    assert carried.target.recv(100) == b"question"

    carried.target.sendall(b"answer")
    assert os.read(carried.stdout, 100) == b"answer"


def test_the_end_of_stdin_is_a_half_close(carried: Carried) -> None:
    os.write(carried.stdin, b"question")
    carried.close(carried.stdin)
    assert carried.target.recv(100) + carried.target.recv(100) == b"question"

    carried.target.sendall(b"a late answer")
    carried.target.close()
    assert read_all(carried.stdout) == b"a late answer"
    assert carried.ends()


def test_the_targets_half_close_ends_stdout_and_leaves_stdin_going(carried: Carried) -> None:
    carried.target.sendall(b"greeting")
    carried.target.shutdown(socket.SHUT_WR)
    assert read_all(carried.stdout) == b"greeting"

    os.write(carried.stdin, b"still here")
    assert carried.target.recv(100) == b"still here"


def test_a_target_that_leaves_ends_it_though_stdin_stays_open(carried: Carried) -> None:
    carried.target.sendall(b"bye")
    carried.target.close()

    assert read_all(carried.stdout) == b"bye"
    assert carried.ends()


def test_a_reader_that_leaves_ends_it(carried: Carried) -> None:
    carried.close(carried.stdout)
    carried.target.sendall(b"to nobody")

    assert carried.ends()


def test_what_was_received_already_comes_first() -> None:
    carried = Carried(early=b"early ")
    carried.target.sendall(b"bird")
    carried.target.close()

    assert read_all(carried.stdout) == b"early bird"
    carried.tidy()


def test_a_slow_reader_does_not_hold_up_the_other_way(carried: Carried) -> None:
    sent = send_until_full(carried.target)

    os.write(carried.stdin, b"through")
    assert carried.target.recv(100) == b"through"

    carried.target.close()
    assert len(read_all(carried.stdout)) == sent


def test_a_closed_stdin_is_the_end_of_it() -> None:
    ours, target = socket.socketpair()
    reader, writer = os.pipe()
    closed, other = os.pipe()
    os.close(closed)
    os.close(other)

    with ours, target:
        target.sendall(b"all")
        target.shutdown(socket.SHUT_WR)
        relay_stdio(ours, b"", closed, writer)
        assert target.recv(1) == b""
    os.close(writer)
    assert read_all(reader) == b"all"
    os.close(reader)


def test_an_output_that_others_write_to_is_left_open() -> None:
    ours, target = socket.socketpair()
    shown, stdout = os.pipe()
    stdin = os.open(os.devnull, os.O_RDONLY)
    target.sendall(b"one")
    target.shutdown(socket.SHUT_WR)

    with ours, target:
        relay_stdio(ours, b"", stdin, stdout, keeps_stdout=True)
    os.write(stdout, b" two")

    assert os.read(shown, 100) == b"one two"
    for descriptor in (stdin, stdout, shown):
        os.close(descriptor)
