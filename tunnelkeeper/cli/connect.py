"""`tunnelkeeper connect`: stdin and stdout to a target through a tunnel's connection (ssh -W).

`carry` relays a socket to stdin and stdout, with half-close in both directions.
"""

from __future__ import annotations

import os
import select
import socket
import sys
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

import click

from tunnelkeeper.cli import launch
from tunnelkeeper.cli.settings import WORK_TIMEOUT
from tunnelkeeper.control.client import NoSupervisorError, RemoteError
from tunnelkeeper.control.jsonrpc import ErrorCode
from tunnelkeeper.core.exit_codes import ExitCode
from tunnelkeeper.core.forward_spec import SpecError, parse_target

if TYPE_CHECKING:
    from tunnelkeeper.cli.settings import Settings


@click.command()
@click.argument("reference", metavar="NAME|HOST")
@click.argument("target", metavar="HOST:PORT")
@click.pass_obj
def command(settings: Settings, reference: str, target: str) -> int:
    """Carry stdin and stdout to HOST:PORT, as seen from the server; for ProxyCommand.

    Through the tunnel NAME where a supervisor holds it, else through a connection of its own.
    """
    try:
        parse_target(target)
    except SpecError as error:
        raise click.BadParameter(str(error), param_hint="HOST:PORT") from error
    try:
        with settings.client() as client:
            _pump(*client.connect(reference, target, WORK_TIMEOUT))
    except NoSupervisorError:
        return launch.connect(settings.config, reference, target, _pump)
    except RemoteError as error:
        if error.code != ErrorCode.NOT_FOUND:
            raise
        return launch.connect(settings.config, reference, target, _pump)
    return ExitCode.OK


def _pump(sock: socket.socket, early: bytes = b"") -> None:
    """Carry a socket to this process's stdin and stdout, and close it."""
    with sock:
        carry(sock, early, sys.stdin.fileno(), sys.stdout.fileno())


CHUNK = 64 * 1024

_GONE = select.POLLHUP | select.POLLERR


def carry(
    sock: socket.socket, early: bytes, stdin: int, stdout: int, *, keeps_stdout: bool = False
) -> None:
    """Copy both ways until both have ended, or nobody is left at one end.

    early: what was received from the socket already. stdin and stdout are descriptors; stdout is
    led to /dev/null once the socket's side has said its last, so that its reader sees the end,
    unless something else will write there (keeps_stdout).
    """
    sock.setblocking(False)
    carriage = _Carriage(sock, stdin, stdout, keeps_stdout, _Way(), _Way(early))
    while carriage.goes_on:
        carriage.step()


@dataclass(slots=True)
class _Way:
    """One direction: what was read and is not yet written, and whether more may come."""

    pending: bytes = b""
    open: bool = True

    @property
    def wants_input(self) -> bool:
        return self.open and not self.pending

    @property
    def goes_on(self) -> bool:
        return self.open or bool(self.pending)

    def take(self, data: bytes) -> None:
        """Keep what was read; nothing is the end of it."""
        self.pending = data
        self.open = bool(data)

    def end(self) -> None:
        """Nobody is left to write to."""
        self.take(b"")


@dataclass(slots=True)
class _Carriage:
    sock: socket.socket
    stdin: int
    stdout: int
    keeps_stdout: bool
    out: _Way
    back: _Way

    @property
    def goes_on(self) -> bool:
        return self.out.goes_on or self.back.goes_on

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
        if self.out.wants_input:
            poll.register(self.stdin, select.POLLIN)
        if self.back.pending:
            poll.register(self.stdout, select.POLLOUT)
        wanted = select.POLLIN if self.back.wants_input else 0
        wanted |= select.POLLOUT if self.out.pending else 0
        # With its side at an end, the peer is still watched: poll reports unasked that it left.
        if wanted or not self.back.open:
            poll.register(self.sock, wanted)
        return poll.poll()

    def _read_stdin(self) -> None:
        try:
            self.out.take(os.read(self.stdin, CHUNK))
        except OSError:  # a closed stdin, a terminal that hung up
            self.out.end()
        if not self.out.open:
            with suppress(OSError):
                self.sock.shutdown(socket.SHUT_WR)

    def _write_stdout(self) -> None:
        try:
            # So many bytes fit without waiting when poll says that a pipe is writable.
            written = os.write(self.stdout, self.back.pending[: select.PIPE_BUF])
        except OSError:  # its reader left, as `| head` does
            self.out.end()
            self.back.end()
        else:
            self.back.pending = self.back.pending[written:]

    def _serve_socket(self, events: int) -> None:
        if self.out.pending:
            self._send()
        if self.back.wants_input:
            self._receive()
        elif events & _GONE and not self.back.open:
            self.out.end()

    def _send(self) -> None:
        try:
            self.out.pending = self.out.pending[self.sock.send(self.out.pending) :]
        except BlockingIOError:
            pass
        except OSError:
            self.out.end()

    def _receive(self) -> None:
        try:
            self.back.take(self.sock.recv(CHUNK))
        except BlockingIOError:
            return
        except OSError:
            self.back.end()
        if not self.back.open and not self.keeps_stdout:
            _end_output(self.stdout)


def _end_output(stdout: int) -> None:
    """Close an output without freeing its number, which the next open file would take."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, stdout)
    os.close(nowhere)
