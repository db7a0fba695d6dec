"""Lines written by a thread: blocked destinations, failures and lost lines."""

from __future__ import annotations

import errno
import fcntl
import os
import threading
from copy import copy
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tunnelkeeper.net.line_sinks import DescriptorSink, FileSink
from tunnelkeeper.net.line_writer import LineWriter, call_bounded, close_all, loss_text

if TYPE_CHECKING:
    from collections.abc import Iterator

LONG = 60.0
"""Seconds for what happens at once."""
SHORT = 0.05
"""Seconds to wait for what does not happen."""


class FakeSink:
    """A sink that a test blocks, or lets fail."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.error: OSError | None = None
        self.may_write = threading.Event()
        self.may_write.set()
        self.is_waiting = threading.Event()

    def write(self, line: str, level: int) -> None:
        self.is_waiting.set()
        assert self.may_write.wait(LONG)
        if self.error is not None:
            raise self.error
        self.lines.append(line if level == 6 else f"<{level}>{line}")


@pytest.fixture
def sink() -> Iterator[FakeSink]:
    sink = FakeSink()
    yield sink
    sink.may_write.set()


def writer_of(sink: FakeSink | DescriptorSink | FileSink, limit: int = 3) -> LineWriter:
    return LineWriter(sink, lambda count: f"{loss_text(count)}\n", limit)


def test_lines_are_written_in_order(sink: FakeSink) -> None:
    writer = writer_of(sink, limit=101)
    for number in range(100):
        writer.write(f"{number}\n")
    writer.write("error\n", 3)
    writer.close(LONG)

    assert sink.lines == [*(f"{number}\n" for number in range(100)), "<3>error\n"]


def test_a_full_queue_loses_its_oldest_lines_and_reports_them(sink: FakeSink) -> None:
    writer = writer_of(sink)
    sink.may_write.clear()
    writer.write("first\n")
    assert sink.is_waiting.wait(LONG)
    for number in range(10):
        writer.write(f"{number}\n")
    sink.may_write.set()
    writer.close(LONG)

    assert sink.lines == ["first\n", "<4>7 lines were lost\n", "7\n", "8\n", "9\n"]


def test_a_pause_delays_later_lines_until_its_end(sink: FakeSink) -> None:
    writer = writer_of(sink)
    writer.write("before\n")
    with writer.paused():
        assert sink.lines == ["before\n"]
        writer.write("meanwhile\n")
        assert sink.lines == ["before\n"]
    writer.close(LONG)

    assert sink.lines == ["before\n", "meanwhile\n"]


def test_closing_ends_a_pause(sink: FakeSink) -> None:
    writer = writer_of(sink)
    with writer.paused():
        writer.write("last\n")
        writer.close(LONG)
        assert sink.lines == ["last\n"]


def test_lines_that_cannot_be_written_are_reported_later(sink: FakeSink) -> None:
    writer = writer_of(sink)
    sink.error = OSError(28, "No space left on device")
    writer.write("1\n")
    writer.write("2\n")
    writer.close(LONG)
    sink.error = None
    writer.write("3\n")
    writer.write("4\n")
    writer.close(LONG)

    assert sink.lines == ["<4>2 lines were lost\n", "3\n", "4\n"]


def test_one_lost_line_is_reported(sink: FakeSink) -> None:
    writer = writer_of(sink)
    sink.error = OSError(5, "Input/output error")
    writer.write("1\n")
    writer.close(LONG)
    sink.error = None
    writer.write("2\n")
    writer.close(LONG)

    assert sink.lines == ["<4>1 line was lost\n", "2\n"]


def test_a_blocked_destination_does_not_delay_the_exit_for_long(sink: FakeSink) -> None:
    writers = [writer_of(sink) for _ in range(50)]
    sink.may_write.clear()
    for writer in writers:
        writer.write("text\n")

    close_all(writers, SHORT)

    assert sink.lines == []


def test_closing_twice_or_without_a_line_is_harmless(sink: FakeSink) -> None:
    before = set(threading.enumerate())
    writer = writer_of(sink)
    writer.close(LONG)
    writer.write("1\n")
    writer.close(LONG)
    writer.close(LONG)

    assert sink.lines == ["1\n"]
    assert not set(threading.enumerate()) - before


def test_a_child_continues_without_the_thread_of_its_parent(sink: FakeSink) -> None:
    writer = writer_of(sink, limit=100)
    sink.may_write.clear()
    for number in range(3):
        writer.write(f"{number}\n")
    assert sink.is_waiting.wait(LONG)
    child_sink = FakeSink()
    child = copy(writer)  # what fork() does, apart from the thread
    child._queue, child._sink = copy(writer._queue), child_sink
    writer._queue.clear()

    child.after_fork()
    child.write("3\n")
    child.close(LONG)

    assert child_sink.lines == ["<4>1 line was lost\n", "1\n", "2\n", "3\n"]


# -- sinks -----------------------------------------------------------------------------------------


def test_a_file_is_appended_to_and_opened_again_after_a_rotation(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_text("old\n")
    sink = FileSink(path)
    sink.open_without_waiting()
    sink.write("1\n", 6)
    path.rename(tmp_path / "log.1")
    sink.write("2\n", 6)
    path.unlink()
    sink.write("3\n", 6)
    sink.close()

    assert (tmp_path / "log.1").read_text() == "old\n1\n"
    assert path.read_text() == "3\n"


@pytest.mark.parametrize("name", ["", "missing/log"])
def test_a_file_that_cannot_be_written_is_reported_early(name: str, tmp_path: Path) -> None:
    with pytest.raises(OSError, match=str(tmp_path)):
        FileSink(tmp_path / name).open_without_waiting()


def test_a_fifo_waits_for_each_reader_and_stays_open(tmp_path: Path) -> None:
    path = tmp_path / "fifo"
    os.mkfifo(path)
    sink = FileSink(path)
    sink.open_without_waiting()
    writer = writer_of(sink, limit=100)
    writer.write("1\n")
    with path.open() as reader:
        assert reader.readline() == "1\n"
        writer.write("2\n")
        assert reader.readline() == "2\n"
    writer.write("3\n")
    writer.close(LONG)  # it is lost before there is another reader
    writer.write("4\n")
    with path.open() as reader:
        assert reader.readline() == "1 line was lost\n"
        assert reader.readline() == "4\n"
    writer.close(LONG)
    sink.close()


def test_a_full_pipe_blocks_only_the_thread() -> None:
    reading, writing = os.pipe()
    size = fcntl.fcntl(writing, fcntl.F_SETPIPE_SZ, 4096)
    writer = writer_of(DescriptorSink(writing), limit=10)
    line = f"{(size // 4 - 1) * 'x'}\n"
    for _ in range(40):
        writer.write(line)
    writer.close(SHORT)
    accounted, lost = 0, 0
    with os.fdopen(reading) as reader:
        while accounted < 40:  # the thread reports a loss whenever it finds one
            received = reader.readline()
            count = int(received.split()[0]) if "lost" in received else 1
            assert received == line or "lost" in received
            lost += count if "lost" in received else 0
            accounted += count
        writer.close(LONG)
        os.close(writing)
        assert reader.read() == ""

    assert (accounted, lost > 0) == (40, True)


def test_a_pipe_that_another_process_made_nonblocking_is_waited_for() -> None:
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    size = fcntl.fcntl(writing, fcntl.F_SETPIPE_SZ, 4096)
    line = f"{(size - 1) * 'x'}\n"
    writer = writer_of(DescriptorSink(writing))
    writer.write(line)
    writer.write(line)
    with os.fdopen(reading) as reader:
        assert [reader.readline(), reader.readline()] == [line, line]
        writer.close(LONG)
        os.close(writing)


class NearlyFullDisk(DescriptorSink):
    """A descriptor on a disk that becomes full in the middle of a line."""

    free: int | None = 5

    def _write_some(self, data: bytes) -> int:
        if self.free == 0:
            raise OSError(errno.ENOSPC, "No space left on device")
        written = super()._write_some(data[: self.free])
        if self.free is not None:
            self.free -= written
        return written


def test_a_line_does_not_continue_one_that_a_full_disk_cut() -> None:
    reading, writing = os.pipe()
    sink = NearlyFullDisk(writing)
    writer = writer_of(sink)
    writer.write("123456789\n")
    writer.close(LONG)
    sink.free = None
    writer.write("next\n")
    writer.close(LONG)
    os.close(writing)
    with os.fdopen(reading) as reader:
        assert reader.read() == "12345\n1 line was lost\nnext\n"


def test_a_device_without_space_loses_lines_only() -> None:
    if not Path("/dev/full").exists():
        pytest.skip("/dev/full does not exist")
    with Path("/dev/full").open("wb", buffering=0) as full:
        writer = writer_of(DescriptorSink(full.fileno()))
        writer.write("1\n")
        writer.close(LONG)
        reading, writing = os.pipe()
        os.dup2(writing, full.fileno())
        os.close(writing)
        writer.write("2\n")
        writer.close(LONG)
    with os.fdopen(reading) as reader:
        assert reader.read() == "1 line was lost\n2\n"


# -- bounded calls ---------------------------------------------------------------------------------


def test_a_call_that_blocks_is_left_alone() -> None:
    release = threading.Event()

    def block() -> None:
        release.wait(LONG)

    assert not call_bounded(block, SHORT)
    release.set()


def test_a_call_that_fails_raises_its_error() -> None:
    def fail() -> None:
        raise FileNotFoundError(2, "No such file or directory")

    assert call_bounded(lambda: None, LONG)
    with pytest.raises(FileNotFoundError):
        call_bounded(fail, LONG)
