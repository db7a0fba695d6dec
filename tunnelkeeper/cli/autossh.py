"""`tunnelkeeper autossh`, also as the program `tunnelkeeper-autossh` and through a link `autossh`.

The arguments go on as they are: their grammar is ssh's. What is done here is standard input,
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


class _AsTheyAre(click.Command):
    """A command whose arguments click leaves alone."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        ctx.params["arguments"] = tuple(args)
        return []


@click.command(
    cls=_AsTheyAre,
    add_help_option=False,
    options_metavar="[--strict] [-V] [-M PORT[:ECHO_PORT]] [-f] [SSH_OPTIONS] HOST [COMMAND]",
)
def command(arguments: tuple[str, ...]) -> int:
    """Run a command line of autossh(1): [-M port] [-f] [SSH_OPTIONS] host [command]."""
    return launch.autossh(arguments, carry, copy_errors, sys.stdin.fileno())


def main() -> NoReturn:
    """Be autossh."""
    sys.exit(run([NAME, *sys.argv[1:]]))


def carry(sock: socket.socket, stdin: int) -> None:
    """Carry a socket to standard output, and from a descriptor; then close it."""
    with sock:
        connect.carry(sock, b"", stdin, sys.stdout.fileno(), keeps_stdout=True)


def copy_errors(sock: socket.socket) -> None:
    """Carry a socket to standard error, and close it."""
    with sock:
        while data := sock.recv(connect.CHUNK):
            try:
                _write(sys.stderr.fileno(), data)
            except OSError:  # nobody reads it
                return


def _write(descriptor: int, data: bytes) -> None:
    while data:
        data = data[os.write(descriptor, data) :]
