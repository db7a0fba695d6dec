"""A control socket that belongs to another program, or a path that is no socket."""

from __future__ import annotations

import os
import socket
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

from tests.e2e.sandbox import Sandbox, socks_tunnel

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.e2e.program import Program


@pytest.fixture
def program(sandbox: Sandbox) -> Program:
    program = sandbox.program(socks_tunnel("t", 1))
    program.socket.parent.mkdir(mode=0o700, exist_ok=True)
    return program


@contextmanager
def other_program(path: Path, answer: bytes) -> Iterator[None]:
    """Listen on a path, answer the first data of each client and close the connection."""
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen()

        def serve() -> None:
            while True:
                connection, _ = listener.accept()
                with connection:
                    if answer:
                        connection.recv(1000)
                        connection.sendall(answer)
                    elif connection.recv(1000) == b"end":
                        return

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield
        finally:
            answer = b""
            with socket.socket(socket.AF_UNIX) as last:
                last.connect(str(path))
                last.sendall(b"end")
            thread.join()


def make_folder(path: Path) -> None:
    path.mkdir()


def make_file(path: Path) -> None:
    path.write_text("precious")


def make_link(path: Path) -> None:
    path.symlink_to("/etc/hostname")


@pytest.mark.parametrize("detach", [(), ("--detach",)], ids=["foreground", "detach"])
@pytest.mark.parametrize(
    ("answer", "status_message"),
    [
        (b"HTTP/1.1 400 Bad Request\r\n\r\n", "which answered 'HTTP/1.1 400 Bad Request'"),
        (b'{"jsonrpc":"1.0"}\n', "which answered '{"),
        (b"\0\0", r"which answered '\x00\x00'"),
        (b"", ": no supervisor is running\n"),
    ],
    ids=["http", "json", "binary", "closes"],
)
def test_up_leaves_the_socket_of_another_program_alone(
    program: Program, answer: bytes, status_message: str, detach: tuple[str, ...]
) -> None:
    with other_program(program.socket, answer):
        inode = program.socket.stat().st_ino
        up = program.run("up", *detach)
        status = program.run("status")

        assert up.returncode == 1
        assert str(program.socket) in up.stderr
        assert "another program" in up.stderr
        assert "--socket" in up.stderr
        assert (status.returncode, status.stdout) == (3, "")
        assert status_message in status.stderr
        assert program.socket.stat().st_ino == inode


@pytest.mark.parametrize("make", [os.mkfifo, make_folder, make_file, make_link])
def test_up_leaves_what_is_no_socket_alone(program: Program, make: Callable[[Path], None]) -> None:
    make(program.socket)
    inode = program.socket.lstat().st_ino
    up = program.run("up")

    assert up.returncode == 1
    assert f"{program.socket}: exists and is not a socket" in up.stderr
    assert program.run("status").returncode == 3
    assert program.socket.lstat().st_ino == inode


def test_a_stale_socket_is_replaced(program: Program) -> None:
    with socket.socket(socket.AF_UNIX) as stale:
        stale.bind(str(program.socket))

    program.up()

    assert program.tunnel("t").name == "t"
