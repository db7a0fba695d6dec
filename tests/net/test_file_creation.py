"""Files that are opened to be written, in folders of one's own and in folders of everybody."""

from __future__ import annotations

import os
import stat
from typing import TYPE_CHECKING

import pytest

from tests.requirements import require_root
from tunnelkeeper.net.file_creation import PlantedFileError, open_to_write, unlink

if TYPE_CHECKING:
    from pathlib import Path

STRANGER = 65534
WRITE = os.O_WRONLY | os.O_CREAT | os.O_TRUNC


@pytest.fixture
def shared(tmp_path: Path) -> Path:
    """Return a folder like /tmp: everyone may write, and the sticky bit is set."""
    folder = tmp_path / "shared"
    folder.mkdir()
    folder.chmod(0o1777)
    return folder


def write(path: Path, text: str = "new") -> None:
    with os.fdopen(open_to_write(path, WRITE), "w") as file:
        file.write(text)


def test_a_new_file_can_be_read_by_its_owner_only(shared: Path) -> None:
    write(shared / "log")

    assert stat.S_IMODE((shared / "log").stat().st_mode) == 0o600
    assert (shared / "log").read_text() == "new"


def test_a_file_is_truncated_and_keeps_its_mode(tmp_path: Path) -> None:
    path = tmp_path / "pid"
    path.write_text("longer than new")
    path.chmod(0o644)

    write(path)

    assert path.read_text() == "new"
    assert stat.S_IMODE(path.stat().st_mode) == 0o644


def test_links_in_folders_of_the_user_are_followed(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "folder").symlink_to("real")
    (tmp_path / "log").symlink_to("folder/../real/target")

    write(tmp_path / "log")

    assert (tmp_path / "real" / "target").read_text() == "new"


def test_a_loop_of_links_is_an_error_that_names_the_path(tmp_path: Path) -> None:
    (tmp_path / "log").symlink_to("log")

    with pytest.raises(OSError, match="symbolic links") as failed:
        write(tmp_path / "log")

    assert failed.value.filename == str(tmp_path / "log")


def test_a_missing_folder_is_an_error_that_names_the_path(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError) as failed:
        write(tmp_path / "missing" / "log")

    assert failed.value.filename == str(tmp_path / "missing" / "log")


def test_a_link_of_a_stranger_in_a_shared_folder_is_not_followed(shared: Path) -> None:
    require_root()
    victim = shared.parent / "victim"
    victim.write_text("precious")
    (shared / "log").symlink_to(victim)
    os.lchown(shared / "log", STRANGER, STRANGER)

    with pytest.raises(PlantedFileError, match="symbolic link of nobody"):
        write(shared / "log")

    assert victim.read_text() == "precious"


def test_a_link_in_a_folder_without_sticky_bit_is_not_followed(shared: Path) -> None:
    shared.chmod(0o777)
    victim = shared.parent / "victim"
    victim.write_text("precious")
    (shared / "log").symlink_to(victim)

    with pytest.raises(PlantedFileError, match="is not followed"):
        write(shared / "log")

    assert victim.read_text() == "precious"


def test_a_link_of_a_stranger_on_the_way_is_not_followed(shared: Path) -> None:
    require_root()
    (shared / "folder").symlink_to(shared.parent)
    os.lchown(shared / "folder", STRANGER, STRANGER)

    with pytest.raises(PlantedFileError, match="is not followed"):
        write(shared / "folder" / "log")
    with pytest.raises(PlantedFileError, match="is not followed"):
        unlink(shared / "folder" / "log")

    assert not (shared.parent / "log").exists()


def test_a_file_of_a_stranger_in_a_shared_folder_is_refused(shared: Path) -> None:
    require_root()
    (shared / "log").write_text("theirs")
    os.chown(shared / "log", STRANGER, STRANGER)

    with pytest.raises(PlantedFileError, match="belongs to nobody"):
        write(shared / "log")

    assert (shared / "log").read_text() == "theirs"


def test_a_file_with_two_names_in_a_shared_folder_is_refused(shared: Path) -> None:
    victim = shared.parent / "victim"
    victim.write_text("precious")
    (shared / "log").hardlink_to(victim)

    with pytest.raises(PlantedFileError, match="hard link"):
        write(shared / "log")

    assert victim.read_text() == "precious"


def test_a_link_of_the_user_in_a_sticky_folder_is_followed(shared: Path) -> None:
    (shared / "log").symlink_to(shared.parent / "mine")

    write(shared / "log")

    assert (shared.parent / "mine").read_text() == "new"


def test_a_file_of_a_stranger_in_a_folder_of_the_user_is_written(tmp_path: Path) -> None:
    require_root()
    (tmp_path / "log").write_text("theirs")
    os.chown(tmp_path / "log", STRANGER, STRANGER)

    write(tmp_path / "log")

    assert (tmp_path / "log").read_text() == "new"


def test_an_open_descriptor_is_written_through_its_link() -> None:
    reader, writer = os.pipe()
    try:
        write_to = open_to_write(f"/dev/fd/{writer}", os.O_WRONLY | os.O_APPEND)
        os.write(write_to, b"line\n")
        os.close(write_to)

        assert os.read(reader, 100) == b"line\n"
    finally:
        os.close(reader)
        os.close(writer)


def test_unlink_removes_a_link_and_not_its_target(tmp_path: Path) -> None:
    (tmp_path / "target").write_text("kept")
    (tmp_path / "pid").symlink_to("target")

    unlink(tmp_path / "pid")

    assert [path.name for path in tmp_path.iterdir()] == ["target"]
