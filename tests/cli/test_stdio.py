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


class RelayedSocket:
    """A socket relayed to stdin and stdout: the caller's ends of both pipes, and the target."""

    def __init__(self, early: bytes = b"") -> None:
        relayed, self.target = socket.socketpair()
        stdin, self.stdin = os.pipe()
        self.stdout, stdout = os.pipe()
        self.target.settimeout(DEADLINE)

        def run() -> None:
            with relayed:
                relay_stdio(relayed, early, stdin, stdout)
            os.close(stdin)
            os.close(stdout)

        self._thread = threading.Thread(target=run)
        self._thread.start()
        self._open = {self.stdin, self.stdout}

    def close(self, descriptor: int) -> None:
        self._open.discard(descriptor)
        os.close(descriptor)

    def has_ended(self) -> bool:
        self._thread.join(DEADLINE)
        return not self._thread.is_alive()

    def clean_up(self) -> None:
        self.target.close()
        for descriptor in list(self._open):
            self.close(descriptor)
        assert self.has_ended()


def send_until_full(sock: socket.socket) -> int:
    """Send until every buffer behind the socket is full. Return the number of bytes."""
    sent = 0
    sock.settimeout(0.2)
    with suppress(TimeoutError):
        while True:
            sent += sock.send(b"x" * 65536)
    sock.settimeout(DEADLINE)
    return sent


@pytest.fixture
def stdio() -> Iterator[RelayedSocket]:
    relayed = RelayedSocket()
    yield relayed
    relayed.clean_up()


def read_all(descriptor: int) -> bytes:
    chunks = []
    while chunk := os.read(descriptor, 65536):
        chunks.append(chunk)
    return b"".join(chunks)


def test_data_is_relayed_in_both_directions(stdio: RelayedSocket) -> None:
    os.write(stdio.stdin, b"question")
    assert stdio.target.recv(100) == b"question"

    stdio.target.sendall(b"answer")
    assert os.read(stdio.stdout, 100) == b"answer"


def test_eof_on_stdin_is_a_half_close(stdio: RelayedSocket) -> None:
    os.write(stdio.stdin, b"question")
    stdio.close(stdio.stdin)
    assert stdio.target.recv(100) + stdio.target.recv(100) == b"question"

    stdio.target.sendall(b"a late answer")
    stdio.target.close()
    assert read_all(stdio.stdout) == b"a late answer"
    assert stdio.has_ended()


def test_a_half_close_by_the_target_closes_stdout_only(stdio: RelayedSocket) -> None:
    stdio.target.sendall(b"greeting")
    stdio.target.shutdown(socket.SHUT_WR)
    assert read_all(stdio.stdout) == b"greeting"

    os.write(stdio.stdin, b"still here")
    assert stdio.target.recv(100) == b"still here"


def test_the_relay_ends_when_the_target_closes_although_stdin_is_open(stdio: RelayedSocket) -> None:
    stdio.target.sendall(b"bye")
    stdio.target.close()

    assert read_all(stdio.stdout) == b"bye"
    assert stdio.has_ended()


def test_the_relay_ends_when_stdout_is_closed(stdio: RelayedSocket) -> None:
    stdio.close(stdio.stdout)
    stdio.target.sendall(b"unread")

    assert stdio.has_ended()


def test_data_received_earlier_is_written_first() -> None:
    stdio = RelayedSocket(early=b"early ")
    stdio.target.sendall(b"bird")
    stdio.target.close()

    assert read_all(stdio.stdout) == b"early bird"
    stdio.clean_up()


def test_a_slow_reader_does_not_block_the_other_direction(stdio: RelayedSocket) -> None:
    sent = send_until_full(stdio.target)

    os.write(stdio.stdin, b"through")
    assert stdio.target.recv(100) == b"through"

    stdio.target.close()
    assert len(read_all(stdio.stdout)) == sent


def test_a_closed_stdin_counts_as_eof() -> None:
    relayed, target = socket.socketpair()
    reader, writer = os.pipe()
    closed, other = os.pipe()
    os.close(closed)
    os.close(other)

    with relayed, target:
        target.sendall(b"all")
        target.shutdown(socket.SHUT_WR)
        relay_stdio(relayed, b"", closed, writer)
        assert target.recv(1) == b""
    os.close(writer)
    assert read_all(reader) == b"all"
    os.close(reader)


def test_a_shared_stdout_is_left_open() -> None:
    relayed, target = socket.socketpair()
    shown, stdout = os.pipe()
    stdin = os.open(os.devnull, os.O_RDONLY)
    target.sendall(b"one")
    target.shutdown(socket.SHUT_WR)

    with relayed, target:
        relay_stdio(relayed, b"", stdin, stdout, keeps_stdout=True)
    os.write(stdout, b" two")

    assert os.read(shown, 100) == b"one two"
    for descriptor in (stdin, stdout, shown):
        os.close(descriptor)
