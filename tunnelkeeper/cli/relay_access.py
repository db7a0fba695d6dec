"""`tunnelkeeper relay kick|ban|unban`: disconnect clients of a running relay, and keep them out."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click
import msgspec

from tunnelkeeper.cli.duration_option import parse_duration
from tunnelkeeper.cli.help_text import RelayCommand
from tunnelkeeper.cli.json_output import json_option, print_text, set_result
from tunnelkeeper.cli.relay_instance import connect
from tunnelkeeper.cli.settings import ANSWER_TIMEOUT
from tunnelkeeper.core.exit_codes import ExitCode
from tunnelkeeper.core.text import printable
from tunnelkeeper.presentation.formatting import format_moment, parse_time

if TYPE_CHECKING:
    from tunnelkeeper.cli.settings import Settings

_config = click.option("--config", metavar="FILE", help="The config file, relay.toml.")
_json = json_option("Print the relay's answer as JSON.")


class _Answer(msgspec.Struct, frozen=True):
    """The result of any of the methods."""

    target: str = ""
    until: str | None = None
    disconnected: list[str] = []
    problem: str | None = None


_KICK_EXAMPLES = """\b
Examples:
  tunnelkeeper relay kick box17
"""


@click.command(
    short_help="disconnect the clients of a user or a key", cls=RelayCommand, epilog=_KICK_EXAMPLES
)
@click.argument("target", metavar="USER|FINGERPRINT")
@_config
@_json
@click.pass_obj
def kick(settings: Settings, target: str, config: str | None) -> int:
    """Disconnect the clients of a user, or of a key by its SHA256 fingerprint.

    They may log in again at once; `relay ban` keeps them out.
    """
    return _call(settings, config, "kick", target=target)


_BAN_EXAMPLES = """\b
Examples:
  tunnelkeeper relay ban 203.0.113.0/24 --for 1h
  tunnelkeeper relay ban SHA256:cSXbR0JqmkJ0fVmpmIJd9sXoz7K3uGpoMpjNRmQJKgo
"""


@click.command(
    short_help="keep an address, a network or a key out", cls=RelayCommand, epilog=_BAN_EXAMPLES
)
@click.argument("target", metavar="ADDRESS|FINGERPRINT")
@click.option(
    "--for",
    "seconds",
    metavar="DURATION",
    callback=parse_duration,
    help="How long, such as 90s, 10m, 1h or 7d; without it, until `relay unban`.",
)
@_config
@_json
@click.pass_obj
def ban(settings: Settings, target: str, seconds: float | None, config: str | None) -> int:
    """Keep out an address, a network such as 203.0.113.0/24, or a key by its SHA256 fingerprint.

    Its clients are disconnected. A ban survives restarts of the relay.
    """
    return _call(settings, config, "ban", target=target, seconds=seconds)


_UNBAN_EXAMPLES = """\b
Examples:
  tunnelkeeper relay unban 203.0.113.0/24
"""


@click.command(short_help="end a ban", cls=RelayCommand, epilog=_UNBAN_EXAMPLES)
@click.argument("target", metavar="ADDRESS|FINGERPRINT")
@_config
@_json
@click.pass_obj
def unban(settings: Settings, target: str, config: str | None) -> int:
    """End the ban of an address, a network or a key; `relay status` lists the bans."""
    return _call(settings, config, "unban", target=target)


def _call(settings: Settings, config: str | None, method: str, **params: object) -> int:
    """Call a method and print what it did. Return 1 if the bans could not be saved."""
    with connect(settings, config, ANSWER_TIMEOUT) as client:
        result = client.call(method, None, **params)
    answer = msgspec.json.decode(result, type=_Answer)
    set_result(result)
    if method != "kick":
        print_text(_sentence(method, answer))
    for each in answer.disconnected:
        print_text(f"disconnected {printable(each)}")
    if answer.problem is None:
        return ExitCode.OK
    consequence = "a restart of the relay undoes this"
    click.echo(f"tunnelkeeper: {printable(answer.problem, 4096)}; {consequence}", err=True)
    return ExitCode.FAILED


def _sentence(method: str, answer: _Answer) -> str:
    target = printable(answer.target)
    if method == "unban":
        return f"unbanned {target}"
    if answer.until is None:
        return f"banned {target} until `tunnelkeeper relay unban {target}`"
    return f"banned {target} until {format_moment(parse_time(answer.until))}"
