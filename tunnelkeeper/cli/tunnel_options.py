"""A tunnel on the command line: forwards as for ssh, a host, and KEY=VALUE. It writes no file."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import click

from tunnelkeeper.cli.help_text import TunnelsCommand
from tunnelkeeper.cli.settings import CommandError
from tunnelkeeper.config.errors import InvalidValueError
from tunnelkeeper.config.value_parsers import name as read_name
from tunnelkeeper.core.exit_codes import ExitCode

_PATH_KEYS = (
    "identity_files",
    "certificate_files",
    "known_hosts",
    "system_known_hosts",
    "revoked_host_keys",
)
"""Keys of files. A relative path is meant relative to where the command is typed."""

SSH_OPTIONS = {
    "-i": "write identity_files=FILE",
    "-J": "write jump=HOST",
    "-l": "write user=NAME",
    "-p": "write port=PORT",
    "-C": "write compression=true",
    "-b": "write bind_address=ADDRESS",
    "-B": "write bind_interface=NAME",
    "-c": "write ciphers=LIST",
    "-m": "write macs=LIST",
    "-o": "write KEY=VALUE with the key of docs/config.md, or set the option in ssh_config",
    "-f": "write --up, which starts the tunnel in the background",
    "-N": "leave it out, a tunnel runs no command",
    "-T": "leave it out, a tunnel runs no command",
    "-M": "leave it out, keepalives find a dead connection",
    "-g": "write the address to listen on, as in -L '*:5432:db.internal:5432'",
}
"""Options of ssh and autossh, and what to do instead."""


@dataclass(frozen=True, slots=True)
class ForwardRequest:
    """What `forward` opens.

    name: None for one made from the host. for_seconds: how long it lives, timeout: in which it has
    to come up; None for no limit. asks: whether to ask what it needs to know, if there is a
    terminal.
    """

    table: dict[str, Any]
    name: str | None
    for_seconds: float | None
    timeout: float | None
    asks: bool


class TunnelCommand(TunnelsCommand):
    """A command that takes forwards, with advice for options of ssh that are keys here."""

    advice: Mapping[str, str] = SSH_OPTIONS

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Parse the arguments. An option of ssh is refused with the key that replaces it."""
        try:
            return super().parse_args(ctx, args)
        except click.NoSuchOption as error:
            if advice := self.advice.get(error.option_name):
                message = f"ssh's option {error.option_name} is not an option here"
                raise CommandError(message, ExitCode.USAGE, advice) from None
            raise


F = TypeVar("F", bound=Callable[..., Any])


def spec_options(command: F) -> F:
    """Add -L, -R and -D to a command, with the names that `read_table` expects."""
    for name, flag, what in (
        ("socks", "-D", "A SOCKS proxy, as for ssh."),
        ("remote", "-R", "A remote forward, as for ssh."),
        ("local", "-L", "A local forward, as for ssh."),
    ):
        command = click.option(flag, name, metavar="SPEC", multiple=True, help=what)(command)
    return command


def check_name(name: str, where: str) -> None:
    """Check the name of a new tunnel. where: the argument or option.

    Raises CommandError.
    """
    try:
        read_name(name)
    except InvalidValueError as error:
        raise CommandError(f"{where}: {error}", ExitCode.USAGE) from None


def read_table(
    host: str, specs: Mapping[str, Sequence[str]], words: Sequence[str]
) -> dict[str, Any]:
    """Return the table of a tunnel from the words of a command line.

    Raises CommandError with all problems.
    """
    from tunnelkeeper.config.command_words import WordsError, read_tunnel

    try:
        return _with_absolute_paths(read_tunnel(host, specs, words))
    except WordsError as error:
        *above, last = error.problems
        raise CommandError(last.text, ExitCode.USAGE, last.hint, problems=above) from None


def _with_absolute_paths(table: dict[str, Any]) -> dict[str, Any]:
    """Return a table whose relative paths of existing files are absolute.

    The supervisor would look for them in the folder that it was started in.
    """
    return {key: _absolute(value) if key in _PATH_KEYS else value for key, value in table.items()}


def _absolute(value: object) -> object:
    if isinstance(value, list):
        return [_absolute(each) for each in value]
    path = Path(str(value))
    is_here = not path.is_absolute() and (Path.cwd() / path).exists()
    return str(Path.cwd() / path) if is_here else value
