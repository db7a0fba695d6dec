"""A line of autossh on a terminal: raw while a program runs, and as before afterwards."""

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

from tests.e2e.autossh_program import ours, ssh_config
from tests.e2e.waiting import wait_until

if TYPE_CHECKING:
    from pathlib import Path

    from tests.e2e.site import Site
    from tests.e2e.sshd import Sshd

SHOWN_WITHIN = 30.0


class Screen:
    """A terminal with a line on it. `shown` is all that came out."""

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

    def until(self, text: bytes) -> None:
        """Wait until something is shown that was not there before; what came so far is dropped."""
        wait_until(lambda: text in self._read(), SHOWN_WITHIN, lambda: f"{text!r}: {self.shown!r}")
        self.shown = self.shown.partition(text)[2]

    @property
    def echoes(self) -> bool:
        """Return whether the terminal echoes what is typed, as it does unless it is raw."""
        return bool(termios.tcgetattr(self._descriptor)[3] & termios.ECHO)

    def exit_code(self) -> int:
        status = wait_until(self._wait, SHOWN_WITHIN, lambda: f"it runs: {self.shown!r}")
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
            except OSError:  # the last one who had it open has closed it
                break
        return self.shown


@pytest.fixture
def server(site: Site) -> Sshd:
    return site.sshd()


def screen(site: Site, server: Sshd, *line: str) -> Screen:
    words = ("-F", str(ssh_config(site, server)), "-M", "0", *line)
    shown = Screen(ours(site.directory), *words)
    site.add_cleanup(shown.close)
    return shown


def test_a_program_has_the_terminal_and_its_size(site: Site, server: Sshd) -> None:
    shown = screen(site, server, "-t", "box", "echo $TERM; read x; stty size; read x; exit 0")

    shown.until(b"xterm")
    assert not shown.echoes
    shown.resize(120, 40)
    shown.type(b"\r")
    shown.until(b"40 120")
    shown.type(b"\r")
    assert shown.exit_code() == 0


def test_a_terminal_is_as_it_was_after_the_end(site: Site, server: Sshd) -> None:
    shown = screen(site, server, "-t", "box", "echo here; read x; exit 3")
    shown.until(b"here")
    shown.type(b"\r")
    shown.exit_code()

    assert shown.echoes


def test_a_key_that_interrupts_reaches_the_program(site: Site, server: Sshd) -> None:
    shown = screen(
        site, server, "-t", "box", "trap 'echo interrupted; exit 0' INT; echo on; read x"
    )

    shown.until(b"on\r\n")
    shown.type(b"\x03")
    shown.until(b"interrupted")
    assert shown.exit_code() == 0


def test_a_session_comes_back_after_a_loss(site: Site, server: Sshd) -> None:
    shown = screen(site, server, "-t", "box", "echo again; read x; echo bye")
    shown.until(b"again")

    server.kill()
    wait_until(lambda: shown.echoes, SHOWN_WITHIN, "the terminal stays raw")
    server.start()

    shown.until(b"again")
    shown.type(b"\r")
    shown.until(b"bye")
    assert shown.exit_code() == 0


def test_a_key_that_interrupts_ends_a_wait(site: Site, server: Sshd) -> None:
    server.kill()
    shown = screen(site, server, "-t", "box", "true")
    shown.until(b"refused")

    shown.type(b"\x03")

    assert shown.exit_code() == 1
