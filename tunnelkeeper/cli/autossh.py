"""`tunnelkeeper autossh`, also as `tunnelkeeper-autossh` and through a link named `autossh`.

The arguments are passed on unparsed: their grammar is ssh's. This module provides standard input,
output and error.
"""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, NoReturn

import click

from tunnelkeeper.autossh.usage import information
from tunnelkeeper.cli import connect, launch
from tunnelkeeper.cli.answering import person_at_terminal
from tunnelkeeper.cli.completion_script import AUTOSSH, variable_of
from tunnelkeeper.cli.main import run
from tunnelkeeper.core.exit_codes import ExitCode
from tunnelkeeper.paths import set_account_variables

if TYPE_CHECKING:
    import socket

    from click.shell_completion import CompletionItem

NAME = "autossh"


class _UnparsedCommand(click.Command):
    """A command line of autossh(1), which click does not parse."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        ctx.params["arguments"] = tuple(args)
        return []

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem[str]]:
        """Return options of autossh and ssh, hosts, or files, by what stands before."""
        from click.shell_completion import CompletionItem

        from tunnelkeeper.autossh.next_word import WordKind, next_word_kind, option_words
        from tunnelkeeper.cli.completers import complete_files, complete_hosts

        arguments = ctx.params["arguments"]
        if incomplete.startswith("-"):
            words = [CompletionItem(word) for word in option_words(is_first=not arguments)]
        else:
            match next_word_kind(arguments):
                case WordKind.HOST:
                    words = complete_hosts(ctx, incomplete)
                case WordKind.FILE:
                    return complete_files(ctx, incomplete)
                case WordKind.OTHER:
                    words = []
        return [word for word in words if word.value.startswith(incomplete)]


_EXAMPLES = """\b
Examples:
  tunnelkeeper autossh -M 0 -N -L 5432:db.internal:5432 me@relay.example.com
  tunnelkeeper autossh -f -M 20000 -N -R 2222:localhost:22 box17@relay
"""


@click.command(
    cls=_UnparsedCommand,
    epilog=_EXAMPLES,
    add_help_option=False,
    options_metavar="[--strict] [-V] [-M PORT[:ECHO_PORT]] [-f] [SSH_OPTIONS] HOST [COMMAND]",
)
def command(arguments: tuple[str, ...]) -> int:
    """Run a command line of autossh(1): [-M port] [-f] [SSH_OPTIONS] host [command]."""
    if (text := information(arguments)) is not None:
        print(text, end="")
        return ExitCode.OK
    ask = person_at_terminal()
    return launch.autossh(arguments, relay_stdio, copy_errors, sys.stdin.fileno(), ask)


def main() -> NoReturn:
    """Run as autossh and exit with its code."""
    if variable_of(AUTOSSH) in os.environ:  # the shell asks for words
        set_account_variables(os.environ)
        command.main(prog_name=AUTOSSH)
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
