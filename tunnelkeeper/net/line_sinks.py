"""The destinations of a log: a descriptor, a file and a stream. All of them may block."""

from __future__ import annotations

import errno
import os
import select
import stat
import sys
from typing import TYPE_CHECKING, TextIO

from tunnelkeeper.net.file_creation import open_to_write

if TYPE_CHECKING:
    from pathlib import Path

    from tunnelkeeper.net.line_writer import Sink


class DescriptorSink:
    """A descriptor, which stays open. Lines to a terminal, which may be raw, end in CR LF."""

    def __init__(self, descriptor: int) -> None:
        self.descriptor = descriptor
        self._is_mid_line = False

    def write(self, line: str, level: int) -> None:
        """Write a line. level: not used."""
        text = f"\n{line}" if self._is_mid_line else line
        if os.isatty(self.descriptor):
            text = text.replace("\n", "\r\n")
        data = text.encode(errors="backslashreplace")
        while data:
            written = self._write_some(data)
            data = data[written:]
            self._is_mid_line = bool(data)

    def _write_some(self, data: bytes) -> int:
        while True:
            try:
                return os.write(self.descriptor, data)
            except BlockingIOError:  # another process made the shared descriptor non-blocking
                select.select([], [self.descriptor], [])


class StreamSink:
    """A text stream without a descriptor."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, line: str, level: int) -> None:
        """Write a line. level: not used."""
        self._stream.write(line)
        self._stream.flush()


class FileSink:
    """A file that is appended to. It is opened again if another file takes its name (logrotate).

    A FIFO is opened when a reader has opened it. A new file has mode 0600. A link or file that
    another user may have planted is refused (net.file_creation).
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._sink: DescriptorSink | None = None

    def open_without_waiting(self) -> None:
        """Open the file, to report an error early. A FIFO without a reader is left for later.

        Raises:
            OSError: The file cannot be written.
        """
        try:
            self._open(os.O_NONBLOCK)
        except OSError as error:
            # open(2): ENXIO is a FIFO without a reader, or a socket.
            if error.errno != errno.ENXIO or not self._path.is_fifo():
                raise

    def write(self, line: str, level: int) -> None:
        """Append a line."""
        try:
            self.current().write(line, level)
        except BrokenPipeError:  # the reader of the FIFO has gone; wait for the next one
            self.close()
            raise

    def current(self) -> DescriptorSink:
        """Return the file that has the name now, and open it if needed. Raises OSError."""
        if self._sink is not None and self._is_replaced(self._sink.descriptor):
            self.close()
        return self._sink if self._sink is not None else self._open()

    def close(self) -> None:
        """Close the file."""
        if self._sink is not None:
            os.close(self._sink.descriptor)
            self._sink = None

    def _open(self, flags: int = 0) -> DescriptorSink:
        flags |= os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOCTTY
        descriptor = open_to_write(self._path, flags)
        os.set_blocking(descriptor, True)
        return self._adopt(descriptor)

    def _adopt(self, descriptor: int) -> DescriptorSink:
        """Write to an open file from now on."""
        self._sink = DescriptorSink(descriptor)
        return self._sink

    def _is_replaced(self, descriptor: int) -> bool:
        """Return whether the name no longer belongs to the open file."""
        ours = os.fstat(descriptor)
        if not stat.S_ISREG(ours.st_mode):
            return False
        try:
            named = os.stat(self._path)  # noqa: PTH116  beside the fstat() above
        except PermissionError:  # the folder is closed to us; the open file is not
            return False
        except OSError:
            return True
        return (named.st_dev, named.st_ino) != (ours.st_dev, ours.st_ino)


def stderr_sink() -> Sink:
    """Return the sink for standard error."""
    return _sink_of(sys.stderr)


def stdout_sink() -> Sink:
    """Return the sink for standard output. Flush sys.stdout first."""
    return _sink_of(sys.stdout)


def _sink_of(stream: TextIO) -> Sink:
    """Return the sink for a standard stream.

    It does not use the buffer of the stream: a blocked thread would hold its lock, and Python
    needs that lock to exit.
    """
    try:
        return DescriptorSink(stream.fileno())
    except (OSError, ValueError, AttributeError):
        return StreamSink(stream)
