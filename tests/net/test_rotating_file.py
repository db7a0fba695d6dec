"""The rotation of a log file by size."""

from __future__ import annotations

import errno
import os
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tunnelkeeper.net import rotating_file
from tunnelkeeper.net.file_creation import PlantedFileError
from tunnelkeeper.net.line_writer import LineWriter
from tunnelkeeper.net.rotating_file import RotatingFileSink, old_file

if TYPE_CHECKING:
    from collections.abc import Iterator

INFO = 6
NOBODY = 65534
LINE = "123456789\n"


class Log:
    """A log file of three lines, two old ones, and the descriptor that stands for stderr."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "t.log"
        self.stderr = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        self.sink = self.open()

    def open(self) -> RotatingFileSink:
        return RotatingFileSink(self.path, 3 * len(LINE), 2, followers=[self.stderr])

    def write(self, *numbers: int) -> None:
        for number in numbers:
            self.sink.write(f"{number:09}\n", INFO)

    def texts(self) -> dict[str, list[int]]:
        """Return the numbers in each file of the folder, by its name."""
        return {
            file.name: [int(line) for line in file.read_text().split()]
            for file in sorted(self.path.parent.iterdir())
        }


@pytest.fixture
def log(tmp_path: Path) -> Iterator[Log]:
    log = Log(tmp_path)
    yield log
    log.sink.close()
    os.close(log.stderr)


def test_a_file_that_would_become_too_large_is_renamed(log: Log) -> None:
    log.write(*range(7))

    assert log.texts() == {"t.log": [6], "t.log.1": [3, 4, 5], "t.log.2": [0, 1, 2]}


def test_the_oldest_file_is_replaced(log: Log) -> None:
    log.write(*range(13))

    assert log.texts() == {"t.log": [12], "t.log.1": [9, 10, 11], "t.log.2": [6, 7, 8]}


def test_every_file_is_private(log: Log) -> None:
    log.write(*range(7))

    assert {file.stat().st_mode & 0o777 for file in log.path.parent.iterdir()} == {0o600}


def test_the_size_that_a_file_had_before_counts(log: Log) -> None:
    log.write(0, 1)
    log.sink.close()
    log.sink = log.open()
    log.write(2, 3)

    assert log.texts() == {"t.log": [3], "t.log.1": [0, 1, 2]}


def test_a_line_longer_than_the_limit_is_whole_in_a_file_of_its_own(log: Log) -> None:
    log.write(0)
    log.sink.write("x" * 100 + "\n", INFO)
    log.write(1)

    assert [file.read_text() for file in sorted(log.path.parent.iterdir())] == [
        f"{1:09}\n",
        "x" * 100 + "\n",
        f"{0:09}\n",
    ]


def test_standard_error_follows_to_the_new_file(log: Log) -> None:
    log.write(*range(4))
    os.write(log.stderr, b"5\n")

    assert log.texts() == {"t.log": [3, 5], "t.log.1": [0, 1, 2]}


def test_a_descriptor_of_another_file_is_left_alone(log: Log, tmp_path: Path) -> None:
    other = os.open(tmp_path / "terminal", os.O_WRONLY | os.O_CREAT)
    os.dup2(other, log.stderr)
    os.close(other)
    log.write(*range(4))
    os.write(log.stderr, b"5\n")

    assert log.texts()["terminal"] == [5]


def test_a_file_that_logrotate_renames_is_followed_by_a_new_one(log: Log) -> None:
    log.write(0)
    log.path.rename(log.path.with_name("t.log-20261130"))
    log.write(1)
    os.write(log.stderr, b"2\n")

    assert log.texts() == {"t.log": [1, 2], "t.log-20261130": [0]}


def test_a_file_that_logrotate_truncates_is_continued_at_its_beginning(log: Log) -> None:
    log.write(0, 1, 2)
    os.truncate(log.path, 0)
    log.write(3)

    assert log.texts() == {"t.log": [3]}
    assert log.path.read_bytes()[:1] == b"0"


def test_a_rotation_that_fails_loses_nothing_and_is_tried_again(
    log: Log, monkeypatch: pytest.MonkeyPatch
) -> None:
    attempts = 0

    def refuse(*_: object) -> int:
        nonlocal attempts
        attempts += 1
        raise PermissionError(errno.EACCES, "Permission denied")

    log.write(0, 1, 2)
    with monkeypatch.context() as patch:
        patch.setattr(rotating_file, "open_to_write", refuse)
        log.write(3, 4)
    assert log.texts() == {"t.log": [0, 1, 2, 3, 4]}
    assert attempts == 2
    log.write(5)

    assert log.texts() == {"t.log": [5], "t.log.1": [0, 1, 2, 3, 4]}


@contextmanager
def without_root() -> Iterator[None]:
    """Act as a user without rights in the body: root may write to every folder."""
    before = os.geteuid()
    if before == 0:
        os.seteuid(NOBODY)
    try:
        yield
    finally:
        if before == 0:
            os.seteuid(before)


def test_a_folder_that_cannot_be_written_is_no_error(log: Log) -> None:
    log.write(0)
    log.path.parent.chmod(0o500)
    with without_root():
        log.write(*range(1, 9))
    log.path.parent.chmod(0o700)

    assert log.texts() == {"t.log": list(range(9))}


def test_a_rename_that_fails_leaves_no_new_file(log: Log, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> Path:
        raise OSError(errno.EIO, "Input/output error")

    log.write(0, 1, 2)
    with monkeypatch.context() as patch:
        patch.setattr(Path, "replace", refuse)
        log.write(3)

    assert log.texts() == {"t.log": [0, 1, 2, 3]}


def test_a_full_disk_costs_only_the_lines_of_that_time(
    log: Log, monkeypatch: pytest.MonkeyPatch
) -> None:
    writer = LineWriter(log.sink, lambda count: f"{-count}\n")

    def refuse(*_: object) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    writer.write("0\n")
    writer.close(60)
    with monkeypatch.context() as patch:
        patch.setattr(os, "write", refuse)
        writer.write("1\n")
        writer.close(60)
    writer.write("2\n")
    writer.close(60)

    assert log.texts() == {"t.log": [0, -1, 2]}


def test_the_target_of_a_link_is_rotated_and_the_link_stays(log: Log, tmp_path: Path) -> None:
    (tmp_path / "disk").mkdir()
    log.sink.close()
    log.path.unlink()
    log.path.symlink_to("disk/real.log")
    log.sink = log.open()
    log.write(*range(4))

    assert log.path.is_symlink()
    assert sorted(file.name for file in (tmp_path / "disk").iterdir()) == [
        "real.log",
        "real.log.1",
    ]


def test_a_link_that_another_user_may_have_planted_is_not_followed(tmp_path: Path) -> None:
    folder, target = tmp_path / "shared", tmp_path / "target"
    folder.mkdir()
    folder.chmod(0o777)
    (folder / "t.log").symlink_to(target)

    with pytest.raises(PlantedFileError):
        RotatingFileSink(folder / "t.log", followers=[]).write(LINE, INFO)

    assert not target.exists()


def test_a_device_is_never_rotated() -> None:
    sink = RotatingFileSink(Path(os.devnull), 1, 1, followers=[])
    for _ in range(3):
        sink.write(LINE, INFO)
    sink.close()

    assert not old_file(Path(os.devnull), 1).exists()


@given(st.lists(st.integers(0, 12), max_size=40))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_the_files_have_the_newest_lines_in_order_and_none_is_too_large(
    tmp_path_factory: pytest.TempPathFactory, lengths: list[int]
) -> None:
    path = tmp_path_factory.mktemp("log") / "t.log"
    sink = RotatingFileSink(path, 30, 3, followers=[])
    lines = [f"{number:02}{'x' * length}\n" for number, length in enumerate(lengths)]
    for line in lines:
        sink.write(line, INFO)
    sink.close()

    files = [old_file(path, number) for number in range(5)]
    texts = [file.read_text() for file in files if file.exists()]
    assert "".join(lines).endswith("".join(reversed(texts)))
    assert len(texts) == 4 or "".join(reversed(texts)) == "".join(lines)
    assert max(map(len, texts), default=0) <= 30
