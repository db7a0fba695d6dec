"""Named files that are not what they should be."""

from __future__ import annotations

import os
import socket
from typing import TYPE_CHECKING

import pytest

from tunnelkeeper.net.regular_file import SIZE_LIMIT, read_regular_file

if TYPE_CHECKING:
    from pathlib import Path


def fifo(path: Path) -> None:
    os.mkfifo(path)


def endless_device(path: Path) -> None:
    path.symlink_to("/dev/zero")


def terminal(path: Path) -> None:
    path.symlink_to("/dev/ptmx")


def unix_socket(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as sock:
        sock.bind(str(path))


@pytest.mark.parametrize("make", [fifo, endless_device, terminal, unix_socket])
def test_what_is_not_a_regular_file_is_an_error(tmp_path: Path, make: object) -> None:
    path = tmp_path / "odd"
    assert callable(make)
    make(path)

    with pytest.raises(OSError, match="not a regular file") as failed:
        read_regular_file(path)
    assert failed.value.filename == str(path)


def test_a_directory_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(IsADirectoryError):
        read_regular_file(tmp_path)


def test_a_file_that_becomes_a_fifo_does_not_block(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    regular, path = tmp_path / "regular", tmp_path / "fifo"
    regular.touch()
    os.mkfifo(path)
    status = regular.stat()
    stat = os.stat
    monkeypatch.setattr(os, "stat", lambda name: status if name == path else stat(name))

    with pytest.raises(OSError, match="not a regular file"):
        read_regular_file(path)


def test_a_huge_file_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "huge"
    path.touch()
    os.truncate(path, 1 << 40)

    with pytest.raises(OSError, match="larger than 16 MiB"):
        read_regular_file(path)


def test_a_file_of_the_largest_size_is_read(tmp_path: Path) -> None:
    path = tmp_path / "large"
    path.touch()
    os.truncate(path, SIZE_LIMIT)

    assert len(read_regular_file(path)) == SIZE_LIMIT


def test_a_file_without_a_size_is_read() -> None:
    assert read_regular_file("/proc/self/status")


def test_the_null_device_is_an_empty_file(tmp_path: Path) -> None:
    link = tmp_path / "link"
    link.symlink_to(os.devnull)

    assert read_regular_file(os.devnull) == read_regular_file(link) == b""


def test_a_missing_file_and_an_impossible_path_are_errors(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        read_regular_file(tmp_path / "missing")
    with pytest.raises(ValueError, match="null"):
        read_regular_file("nul\0byte")
