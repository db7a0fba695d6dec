"""A supervisor in the background: its process, its log, and the wait until it answers.

The caller provides the argument list; the module knows nothing of tunnels.
"""

from __future__ import annotations

import errno
import os
import subprocess
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from tunnelkeeper import paths
from tunnelkeeper.cli.settings import CommandError
from tunnelkeeper.control import log_files
from tunnelkeeper.control.client import Client
from tunnelkeeper.control.client_errors import NoSupervisorError
from tunnelkeeper.core.exit_codes import ExitCode
from tunnelkeeper.core.text import RECORD_LIMIT, printable
from tunnelkeeper.net.file_creation import open_to_write
from tunnelkeeper.net.line_sinks import FileSink

if TYPE_CHECKING:
    from collections.abc import Mapping

TAIL_LINES = 20
_TAIL_BYTES = 64 * 1024
_POLL_INTERVAL = 0.05
_APPEND = os.O_WRONLY | os.O_CREAT | os.O_APPEND
_CANNOT_WRITE = {errno.EROFS, errno.EACCES, errno.ENOSPC, errno.EDQUOT}


@dataclass(frozen=True, slots=True)
class BackgroundProcess:
    """A process in its own session. log_start: the size of its log when it began to write."""

    process: subprocess.Popen[bytes]
    log: Path
    log_start: int

    def client(self, socket: Path, deadline: float) -> Client:
        """Wait until a supervisor answers on the socket.

        Raises CommandError if the process ends first, TimeoutError at the deadline (monotonic).
        """
        while True:
            with suppress(NoSupervisorError):
                return Client(socket)
            if time.monotonic() > deadline:
                raise TimeoutError(f"the supervisor does not answer at {socket}; see {self.log}")
            if self._has_ended_within(_POLL_INTERVAL):
                raise self.start_error()

    def start_error(self) -> CommandError:
        """Wait for the end of the process. Return an error with its exit status and last output."""
        code = self.process.wait()
        output = "".join(f"\n  {line}" for line in tail(self.log, self.log_start))
        ended = f"with exit code {code}" if code >= 0 else f"by signal {-code}"
        details = f"; its output (in {self.log}):{output}" if output else ""
        known = ExitCode(code) if code in set(ExitCode) and code else ExitCode.FAILED
        return CommandError(f"the supervisor ended {ended}{details}", known)

    def _has_ended_within(self, seconds: float) -> bool:
        with suppress(subprocess.TimeoutExpired):
            self.process.wait(seconds)
        return self.process.returncode is not None


def log_for(socket: Path, environment: Mapping[str, str]) -> Path | None:
    """Return the log file for a new supervisor. Create it if needed.

    None: the file system cannot be written now. A supervisor can do without: it keeps its newest
    lines in memory, for `tunnelkeeper logs`.
    Raises OSError, for example for a file that another user may have planted.
    """
    usual = paths.log_path(environment)
    try:
        usual.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        log = log_files.choose(usual, socket)
        os.close(open_to_write(log, _APPEND))
    except OSError as error:
        if error.errno not in _CANNOT_WRITE:
            raise
        return None
    return log


def named_log(written: str) -> Path:
    """Return the log file of an option. Create it if needed. Raises CommandError."""
    log = Path.cwd() / paths.expanded(written, os.environ)
    try:
        sink = FileSink(log)
        sink.open_without_waiting()
        sink.close()
    except OSError as error:
        raise CommandError(f"cannot write the log {log}: {error.strerror}") from error
    return log


def start(arguments: list[str], log: Path | None) -> BackgroundProcess:
    """Start a process without a terminal, in its own session. Its output goes to the log.

    Raises OSError.
    """
    log = log or Path(os.devnull)
    output = open_to_write(log, _APPEND)
    try:
        log_start = os.fstat(output).st_size
        process = subprocess.Popen(
            arguments,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
    finally:
        os.close(output)
    return BackgroundProcess(process, log, log_start)


def tail(log: Path, start: int) -> list[str]:
    """Return the last lines that were written to a log since it had this many bytes."""
    with log.open("rb") as file:
        end = file.seek(0, os.SEEK_END)
        if end < start:  # it was rotated meanwhile
            start = 0
        file.seek(max(start, end - _TAIL_BYTES))
        lines = file.read().decode(errors="backslashreplace").splitlines()
    return [printable(line, RECORD_LIMIT) for line in lines[-TAIL_LINES:]]
