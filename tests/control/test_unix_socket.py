from __future__ import annotations

import os
import socket
import stat
from typing import TYPE_CHECKING

import pytest

from tunnelkeeper.control import server
from tunnelkeeper.control.unix_socket import SocketFileError, listen, make_private_folder

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
def test_folder_and_socket_are_private_whatever_the_umask_says(tmp_path: Path) -> None:
    path = tmp_path / "a" / "b" / "control.sock"

    with listen(path).sock:
        assert mode(path) == 0o600
        assert mode(path.parent) == 0o700
        assert mode(path.parent.parent) == 0o700
        assert os.umask(0) == 0


def test_the_socket_can_be_connected_to_as_soon_as_it_is_there(tmp_path: Path) -> None:
    path = tmp_path / "control.sock"

    with listen(path).sock, socket.socket(socket.AF_UNIX) as client:
        client.connect(str(path))


def test_a_stale_socket_is_replaced(tmp_path: Path) -> None:
    path = tmp_path / "control.sock"
    listen(path).sock.close()

    with listen(path).sock, socket.socket(socket.AF_UNIX) as client:
        client.connect(str(path))


def test_a_file_that_is_no_socket_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "control.sock"
    path.write_text("precious")

    with pytest.raises(SocketFileError, match="exists and is not a socket"):
        listen(path)
    assert path.read_text() == "precious"


@pytest.mark.parametrize("bits", [0o720, 0o702, 0o777])
def test_a_folder_that_others_can_write_to_is_refused(tmp_path: Path, bits: int) -> None:
    tmp_path.chmod(bits)

    with pytest.raises(SocketFileError, match=f"mode 0{bits:o}.*chmod 700"):
        listen(tmp_path / "control.sock")


def test_a_folder_that_others_can_only_read_will_do(tmp_path: Path) -> None:
    tmp_path.chmod(0o755)

    make_private_folder(tmp_path)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a folder away")
def test_a_folder_of_somebody_else_is_refused(tmp_path: Path) -> None:
    os.chown(tmp_path, 12345, -1)

    with pytest.raises(SocketFileError, match="belongs to user id 12345"):
        listen(tmp_path / "control.sock")


def test_a_path_that_no_socket_can_have_is_named(tmp_path: Path) -> None:
    with pytest.raises(SocketFileError, match="longer than the 103 bytes"):
        listen(tmp_path / ("x" * 104))


def test_the_file_is_removed_only_if_it_is_ours(tmp_path: Path) -> None:
    path = tmp_path / "control.sock"
    ours = listen(path)
    path.rename(tmp_path / "kept")  # so that the next file cannot get the same inode number
    path.write_text("somebody else's")

    with ours.sock:
        ours.remove()
    assert path.exists()

    path.unlink()
    ours.remove()


def test_our_file_is_removed(tmp_path: Path) -> None:
    ours = listen(tmp_path / "control.sock")

    with ours.sock:
        ours.remove()
    assert not ours.path.exists()


def test_the_kernel_names_the_user_at_the_other_end() -> None:
    here, there = socket.socketpair()

    with here, there:
        assert server.peer_uid_of(here) == os.geteuid()


def test_only_the_owner_and_root_may_control() -> None:
    assert server.may_control(os.geteuid())
    assert server.may_control(0)
    assert server.may_control(None)
    assert not server.may_control(os.geteuid() + 1)
