"""`tunnelkeeper autossh`, also as `tunnelkeeper-autossh` and through a link named `autossh`.

The arguments are passed on unparsed: their grammar is ssh's. This module provides standard input,
output and error.
"""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, NoReturn

import click

from tunnelkeeper.cli import connect, launch
from tunnelkeeper.cli.main import run

if TYPE_CHECKING:
    import socket

NAME = "autossh"


class _UnparsedCommand(click.Command):
    """A command whose arguments click does not parse."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        ctx.params["arguments"] = tuple(args)
        return []


@click.command(
    cls=_UnparsedCommand,
    add_help_option=False,
    options_metavar="[--strict] [-V] [-M PORT[:ECHO_PORT]] [-f] [SSH_OPTIONS] HOST [COMMAND]",
)
def command(arguments: tuple[str, ...]) -> int:
    """Run a command line of autossh(1): [-M port] [-f] [SSH_OPTIONS] host [command]."""
    return launch.autossh(arguments, relay_stdio, copy_errors, sys.stdin.fileno())


def main() -> NoReturn:
    """Run as autossh and exit with its code."""
    sys.exit(run([NAME, *sys.argv[1:]]))


def relay_stdio(sock: socket.socket, stdin: int) -> None:
    """Relay a socket to standard output and from a descriptor; then close it."""
    with sock:
        connect.relay_stdio(sock, b"", stdin, sys.stdout.fileno(), keeps_stdout=True)


def copy_errors(sock: socket.socket) -> None:
    """Copy a socket to standard error; then close it."""
    with sock:
        while data := sock.recv(connect.CHUNK):
            try:
                _write_all(sys.stderr.fileno(), data)
            except OSError:  # standard error has no reader any more
                return


def _write_all(descriptor: int, data: bytes) -> None:
    while data:
        data = data[os.write(descriptor, data) :]
