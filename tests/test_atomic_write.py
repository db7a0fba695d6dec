"""Atomic replacement of files."""

from __future__ import annotations

import os
import stat
from typing import TYPE_CHECKING

import pytest

from tunnelkeeper.atomic_write import write_atomically

if TYPE_CHECKING:
    from pathlib import Path


def readable(descriptor: int) -> None:
    os.fchmod(descriptor, 0o644)


def test_a_new_file_has_the_granted_mode(tmp_path: Path) -> None:
    write_atomically(tmp_path / "new", b"content\r\n", readable)

    assert (tmp_path / "new").read_bytes() == b"content\r\n"
    assert stat.S_IMODE((tmp_path / "new").stat().st_mode) == 0o644


def test_an_open_file_keeps_its_old_content(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"old")
    with path.open("rb") as reading:
        write_atomically(path, b"new", readable)

        assert reading.read() == b"old"
    assert path.read_bytes() == b"new"


def test_a_symbolic_link_is_replaced_and_its_target_kept(tmp_path: Path) -> None:
    (tmp_path / "target").write_bytes(b"old")
    (tmp_path / "link").symlink_to("target")

    write_atomically(tmp_path / "link", b"new", readable)

    assert not (tmp_path / "link").is_symlink()
    assert (tmp_path / "target").read_bytes() == b"old"


def test_on_failure_the_old_file_stays_and_no_temporary_file_remains(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"old")

    def refused(descriptor: int) -> None:
        raise PermissionError(descriptor)

    with pytest.raises(PermissionError):
        write_atomically(path, b"new", refused)

    assert [each.name for each in tmp_path.iterdir()] == ["file"]
    assert path.read_bytes() == b"old"
