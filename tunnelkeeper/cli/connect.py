"""`tunnelkeeper connect`: stdin and stdout to a target through a tunnel's connection (ssh -W).

`carry` relays a socket to stdin and stdout, with half-close in both directions.
"""

from __future__ import annotations

import os
import select
import socket
import sys
import time
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

import click

from tunnelkeeper.cli import launch
from tunnelkeeper.cli.answering import asking, person_at_terminal
from tunnelkeeper.cli.help_text import TunnelsCommand
from tunnelkeeper.cli.settings import OtherConfigError
from tunnelkeeper.cli.wait import NO_ANSWERS, SETTLE_TIMEOUT, is_settled, wait_until
from tunnelkeeper.control.client_errors import NoSupervisorError, RemoteError
from tunnelkeeper.control.jsonrpc import ErrorCode
from tunnelkeeper.core.exit_codes import ExitCode
from tunnelkeeper.core.forward_spec import SpecError, parse_target

if TYPE_CHECKING:
    from tunnelkeeper.cli.settings import Settings
    from tunnelkeeper.control.client import Client


CHUNK = 64 * 1024

_GONE = select.POLLHUP | select.POLLERR


_EXAMPLES = """\b
Examples:
  ssh -o ProxyCommand='tunnelkeeper connect db %h:%p' admin@web.internal
  tunnelkeeper connect db web.internal:80
"""


@click.command(cls=TunnelsCommand, epilog=_EXAMPLES)
@click.argument("reference", metavar="NAME|HOST")
@click.argument("target", metavar="HOST:PORT")
@click.pass_obj
def command(settings: Settings, reference: str, target: str) -> int:
    """Relay stdin and stdout to HOST:PORT, as seen from the server; for ProxyCommand.

    Uses the tunnel NAME if a supervisor holds it, otherwise a connection of its own.
    """
    try:
        parse_target(target)
    except SpecError as error:
        raise click.BadParameter(str(error), param_hint="HOST:PORT") from error
    try:
        with settings.client_for_config() as client:
            _answer_questions(client, reference)
            _relay(*client.connect(reference, target))
    except (NoSupervisorError, OtherConfigError):
        return launch.connect(settings.config, reference, target, _relay, person_at_terminal())
    except RemoteError as error:
        if error.code != ErrorCode.NOT_FOUND:
            raise
        return launch.connect(settings.config, reference, target, _relay, person_at_terminal())
    return ExitCode.OK


def _answer_questions(client: Client, name: str) -> None:
    """Ask what the tunnel waits for, if it does and there is a terminal.

    Raises RemoteError for an unknown name.
    """
    if not any(name in question.tunnels for question in client.status([name]).questions):
        return
    with asking(client, [name], asks=True) as answers:
        if answers is not NO_ANSWERS:
            deadline = time.monotonic() + SETTLE_TIMEOUT
            wait_until(client, [name], is_settled, deadline, answers)


def _relay(sock: socket.socket, early: bytes = b"") -> None:
    """Relay a socket to stdin and stdout of this process; then close it."""
    with sock:
        relay_stdio(sock, early, sys.stdin.fileno(), sys.stdout.fileno())


def relay_stdio(
    sock: socket.socket, early: bytes, stdin: int, stdout: int, *, keeps_stdout: bool = False
) -> None:
    """Copy in both directions until both have ended or one side has gone.

    Args:
        early: Bytes that were received from the socket already.
        stdin: A descriptor to read from.
        stdout: A descriptor to write to. At the end of the socket's data it is redirected to
            /dev/null, so that its reader sees the end.
        keeps_stdout: Leave stdout open, because something else still writes there.
    """
    sock.setblocking(False)
    relay = _StdioRelay(sock, stdin, stdout, keeps_stdout, _Direction(), _Direction(early))
    while relay.is_active:
        relay.step()


@dataclass(slots=True)
class _Direction:
    """One direction. pending: read and not yet written. open: whether more can be read."""

    pending: bytes = b""
    open: bool = True

    @property
    def wants_input(self) -> bool:
        return self.open and not self.pending

    @property
    def is_active(self) -> bool:
        return self.open or bool(self.pending)

    def set_input(self, data: bytes) -> None:
        """Keep the data of a read. Empty data is the end."""
        self.pending = data
        self.open = bool(data)

    def end(self) -> None:
        """Drop the direction: its writer has gone."""
        self.set_input(b"")


@dataclass(slots=True)
class _StdioRelay:
    sock: socket.socket
    stdin: int
    stdout: int
    keeps_stdout: bool
    to_socket: _Direction
    from_socket: _Direction

    @property
    def is_active(self) -> bool:
        return self.to_socket.is_active or self.from_socket.is_active

    def step(self) -> None:
        """Wait until a descriptor is ready, and move what can be moved."""
        for descriptor, events in self._ready():
            if descriptor == self.stdin:
                self._read_stdin()
            elif descriptor == self.stdout:
                self._write_stdout()
            else:
                self._serve_socket(events)

    def _ready(self) -> list[tuple[int, int]]:
        poll = select.poll()
        if self.to_socket.wants_input:
            poll.register(self.stdin, select.POLLIN)
        if self.from_socket.pending:
            poll.register(self.stdout, select.POLLOUT)
        wanted = select.POLLIN if self.from_socket.wants_input else 0
        wanted |= select.POLLOUT if self.to_socket.pending else 0
        # After the peer's EOF poll still reports, without being asked, that the peer has gone.
        if wanted or not self.from_socket.open:
            poll.register(self.sock, wanted)
        return poll.poll()

    def _read_stdin(self) -> None:
        try:
            self.to_socket.set_input(os.read(self.stdin, CHUNK))
        except OSError:  # a closed stdin, a terminal that hung up
            self.to_socket.end()
        if not self.to_socket.open:
            with suppress(OSError):
                self.sock.shutdown(socket.SHUT_WR)

    def _write_stdout(self) -> None:
        try:
            # A pipe that is writable takes PIPE_BUF bytes without blocking.
            written = os.write(self.stdout, self.from_socket.pending[: select.PIPE_BUF])
        except OSError:  # its reader has gone, as `| head` does
            self.to_socket.end()
            self.from_socket.end()
        else:
            self.from_socket.pending = self.from_socket.pending[written:]

    def _serve_socket(self, events: int) -> None:
        if self.to_socket.pending:
            self._send()
        if self.from_socket.wants_input:
            self._receive()
        elif events & _GONE and not self.from_socket.open:
            self.to_socket.end()

    def _send(self) -> None:
        try:
            self.to_socket.pending = self.to_socket.pending[
                self.sock.send(self.to_socket.pending) :
            ]
        except BlockingIOError:
            pass
        except OSError:
            self.to_socket.end()

    def _receive(self) -> None:
        try:
            self.from_socket.set_input(self.sock.recv(CHUNK))
        except BlockingIOError:
            return
        except OSError:
            self.from_socket.end()
        if not self.from_socket.open and not self.keeps_stdout:
            _close_output(self.stdout)


def _close_output(stdout: int) -> None:
    """Close an output but keep its descriptor number, which the next open file would take."""
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, stdout)
    os.close(null)
