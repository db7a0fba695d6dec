"""An autossh command line on a terminal: raw while a program runs, restored afterwards."""

from __future__ import annotations

import fcntl
import os
import pty
import select
import signal
import struct
import termios
from typing import TYPE_CHECKING

import pytest

from tests.e2e.autossh_program import own_autossh, ssh_config
from tests.e2e.waiting import wait_until

if TYPE_CHECKING:
    from pathlib import Path

    from tests.e2e.sandbox import Sandbox
    from tests.e2e.sshd import Sshd

OUTPUT_TIMEOUT = 30.0


class TerminalSession:
    """A terminal that runs a command line. shown: the output that was not matched yet."""

    def __init__(self, program: Path, *arguments: str) -> None:
        self.pid, self._descriptor = pty.fork()
        if self.pid == 0:
            os.environ["TERM"] = "xterm"
            os.execv(program, [str(program), *arguments])
        self.shown = b""
        self._ended = False

    def type(self, text: bytes) -> None:
        os.write(self._descriptor, text)

    def resize(self, columns: int, lines: int) -> None:
        fcntl.ioctl(self._descriptor, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))

    def wait_for(self, text: bytes) -> None:
        """Wait until new output contains the text; discard the output up to its end."""
        wait_until(
            lambda: text in self._read(), OUTPUT_TIMEOUT, lambda: f"{text!r}: {self.shown!r}"
        )
        self.shown = self.shown.partition(text)[2]

    @property
    def echoes(self) -> bool:
        """Whether the terminal echoes input, as it does unless it is raw."""
        return bool(termios.tcgetattr(self._descriptor)[3] & termios.ECHO)

    def exit_code(self) -> int:
        status = wait_until(self._wait, OUTPUT_TIMEOUT, lambda: f"it still runs: {self.shown!r}")
        return os.waitstatus_to_exitcode(status[0])

    def close(self) -> None:
        if not self._ended:
            os.kill(self.pid, signal.SIGKILL)
            os.waitpid(self.pid, 0)
        os.close(self._descriptor)

    def _wait(self) -> list[int]:
        self._read()
        pid, status = os.waitpid(self.pid, os.WNOHANG)
        self._ended = self._ended or bool(pid)
        return [status] if pid else []

    def _read(self) -> bytes:
        while select.select([self._descriptor], [], [], 0)[0]:
            try:
                self.shown += os.read(self._descriptor, 4096)
            except OSError:  # no process has the terminal open any more
                break
        return self.shown


@pytest.fixture
def server(sandbox: Sandbox) -> Sshd:
    return sandbox.sshd()


def run_on_terminal(sandbox: Sandbox, server: Sshd, *line: str) -> TerminalSession:
    arguments = ("-F", str(ssh_config(sandbox, server)), "-M", "0", *line)
    session = TerminalSession(own_autossh(sandbox.directory), *arguments)
    sandbox.add_cleanup(session.close)
    return session


def test_a_program_gets_the_terminal_and_its_size(sandbox: Sandbox, server: Sshd) -> None:
    session = run_on_terminal(
        sandbox, server, "-t", "box", "echo $TERM; read x; stty size; read x; exit 0"
    )

    session.wait_for(b"xterm")
    assert not session.echoes
    session.resize(120, 40)
    session.type(b"\r")
    session.wait_for(b"40 120")
    session.type(b"\r")
    assert session.exit_code() == 0


def test_the_terminal_is_restored_after_the_end(sandbox: Sandbox, server: Sshd) -> None:
    session = run_on_terminal(sandbox, server, "-t", "box", "echo here; read x; exit 3")
    session.wait_for(b"here")
    session.type(b"\r")
    session.exit_code()

    assert session.echoes


def test_ctrl_c_reaches_the_program(sandbox: Sandbox, server: Sshd) -> None:
    session = run_on_terminal(
        sandbox, server, "-t", "box", "trap 'echo interrupted; exit 0' INT; echo on; read x"
    )

    session.wait_for(b"on\r\n")
    session.type(b"\x03")
    session.wait_for(b"interrupted")
    assert session.exit_code() == 0


def test_a_session_is_restored_after_a_lost_connection(sandbox: Sandbox, server: Sshd) -> None:
    session = run_on_terminal(sandbox, server, "-t", "box", "echo again; read x; echo bye")
    session.wait_for(b"again")

    server.kill()
    wait_until(lambda: session.echoes, OUTPUT_TIMEOUT, "the terminal stays raw")
    server.start()

    session.wait_for(b"again")
    session.type(b"\r")
    session.wait_for(b"bye")
    assert session.exit_code() == 0


def test_ctrl_c_ends_a_retry_delay(sandbox: Sandbox, server: Sshd) -> None:
    server.kill()
    session = run_on_terminal(sandbox, server, "-t", "box", "true")
    session.wait_for(b"refused")

    session.type(b"\x03")

    assert session.exit_code() == 1
