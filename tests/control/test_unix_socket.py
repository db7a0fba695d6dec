from __future__ import annotations

import os
import socket
import stat
from typing import TYPE_CHECKING

import pytest

from tunnelkeeper.control import server
from tunnelkeeper.control.unix_socket import SocketFileError, listen, make_private_folder
from tunnelkeeper.net.peer_user import peer_uid_of

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


@pytest.fixture
def open_umask() -> Iterator[None]:
    before = os.umask(0)
    yield
    os.umask(before)


@pytest.mark.usefixtures("open_umask")
def test_directory_and_socket_are_private_with_any_umask(tmp_path: Path) -> None:
    path = tmp_path / "a" / "b" / "control.sock"

    with listen(path).sock:
        assert mode(path) == 0o600
        assert mode(path.parent) == 0o700
        assert mode(path.parent.parent) == 0o700
        assert os.umask(0) == 0


def test_the_socket_accepts_connections_as_soon_as_it_exists(tmp_path: Path) -> None:
    path = tmp_path / "control.sock"

    with listen(path).sock, socket.socket(socket.AF_UNIX) as client:
        client.connect(str(path))


def test_a_stale_socket_is_replaced(tmp_path: Path) -> None:
    path = tmp_path / "control.sock"
    listen(path).sock.close()

    with listen(path).sock, socket.socket(socket.AF_UNIX) as client:
        client.connect(str(path))


@pytest.mark.parametrize("kind", [socket.SOCK_STREAM, socket.SOCK_DGRAM, socket.SOCK_SEQPACKET])
def test_the_socket_of_another_program_is_kept(tmp_path: Path, kind: socket.SocketKind) -> None:
    path = tmp_path / "control.sock"
    with socket.socket(socket.AF_UNIX, kind) as other:
        other.bind(str(path))
        if kind != socket.SOCK_DGRAM:
            other.listen()
        inode = path.stat().st_ino

        with pytest.raises(SocketFileError, match="another program listens there") as refused:
            listen(path)
        assert refused.value.hint == "choose another path with --socket PATH"
        assert path.stat().st_ino == inode

    listen(path).sock.close()


def test_a_file_that_is_not_a_socket_is_kept(tmp_path: Path) -> None:
    path = tmp_path / "control.sock"
    path.write_text("precious")

    with pytest.raises(SocketFileError, match="exists and is not a socket"):
        listen(path)
    assert path.read_text() == "precious"


@pytest.mark.parametrize("bits", [0o720, 0o702, 0o777])
def test_a_directory_writable_by_others_is_refused(tmp_path: Path, bits: int) -> None:
    tmp_path.chmod(bits)

    with pytest.raises(SocketFileError, match=f"mode 0{bits:o}") as refused:
        listen(tmp_path / "control.sock")
    assert refused.value.hint == f"chmod 700 {tmp_path}"


def test_a_directory_readable_by_others_is_accepted(tmp_path: Path) -> None:
    tmp_path.chmod(0o755)

    make_private_folder(tmp_path)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can change the owner of a directory")
def test_a_directory_of_another_user_is_refused(tmp_path: Path) -> None:
    os.chown(tmp_path, 12345, -1)

    with pytest.raises(SocketFileError, match="belongs to user id 12345"):
        listen(tmp_path / "control.sock")


def test_a_path_that_is_too_long_for_a_socket_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SocketFileError, match="longer than the 103 bytes"):
        listen(tmp_path / ("x" * 104))


def test_a_file_of_another_process_is_not_removed(tmp_path: Path) -> None:
    path = tmp_path / "control.sock"
    ours = listen(path)
    path.rename(tmp_path / "kept")  # so that the next file cannot get the same inode number
    path.write_text("not ours")

    with ours.sock:
        ours.remove()
    assert path.exists()

    path.unlink()
    ours.remove()


def test_our_own_file_is_removed(tmp_path: Path) -> None:
    ours = listen(tmp_path / "control.sock")

    with ours.sock:
        ours.remove()
    assert not ours.path.exists()


def test_the_kernel_reports_the_uid_of_the_peer() -> None:
    left, right = socket.socketpair()

    with left, right:
        assert peer_uid_of(left) == os.geteuid()


def test_only_the_owner_and_root_are_authorized() -> None:
    assert server.may_control(os.geteuid())
    assert server.may_control(0)
    assert server.may_control(None)
    assert not server.may_control(os.geteuid() + 1)
