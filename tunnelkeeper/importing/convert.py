"""Turns an old line into a tunnel of the config file.

Pure: what `ssh -G` says is handed in. The forwards are those of its answer, so what ssh_config adds
to the line is there too; a line that runs something on the server is no tunnel and is refused.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from tunnelkeeper.autossh.command_line import (
    AutosshCommand,
    Monitor,
    parse_autossh,
    parse_monitor,
    parse_ssh,
)
from tunnelkeeper.autossh.environment import Settings, parse_environment
from tunnelkeeper.autossh.session_plan import plan_session, ssh_g_options
from tunnelkeeper.autossh.ssh_command import CommandLineError, Purpose, SshCommand
from tunnelkeeper.core.forward_spec import Forward, LocallyBoundForward, kind_of
from tunnelkeeper.importing import notes
from tunnelkeeper.importing.host_table import Answers, Place, host_table
from tunnelkeeper.importing.source_commands import ImportedTunnel, SourceCommand, UnreadableError
from tunnelkeeper.importing.toml_text import spec_of
from tunnelkeeper.importing.tunnel_names import name_for
from tunnelkeeper.net.bind_addresses import overlap

if TYPE_CHECKING:
    from collections.abc import Iterator

_NEVER_A_TUNNEL = frozenset("GOQV")


class NoForwardsError(UnreadableError):
    """A line that is understood and has no forwards."""


@dataclass(frozen=True, slots=True)
class ReadLine:
    """An old line, understood. monitor, settings: of autossh; None for ssh."""

    old: SourceCommand
    ssh: SshCommand
    autossh: AutosshCommand | None = None
    monitor: Monitor | None = None
    settings: Settings | None = None

    @property
    def arguments(self) -> tuple[str, ...]:
        """The options to ask `ssh -G` with."""
        return ssh_g_options(self.ssh)


def read_line(old: SourceCommand) -> ReadLine:
    """Read a line as ssh or autossh would.

    Raises Unreadable, also for a line that is plainly no tunnel.
    """
    command = old.command
    if not all(word.isprintable() for word in command.arguments):
        raise UnreadableError("a word has control characters, or is not UTF-8")
    try:
        if command.program == "ssh":
            return _no_session(ReadLine(old, parse_ssh(command.arguments)))
        line = parse_autossh(command.arguments)
        settings = parse_environment(command.environment)
        monitor = line.monitor or settings.port
        found = parse_monitor(monitor) if monitor else None
    except CommandLineError as error:
        raise UnreadableError(str(error)) from None
    return _no_session(ReadLine(old, line.ssh, line, found, settings))


def translate(line: ReadLine, answers: Answers, place: Place) -> ImportedTunnel:
    """The tunnel.

    Raises Unreadable where the line is none.
    """
    try:
        todo = plan_session(line.ssh, answers.line, {})
    except CommandLineError as error:
        raise UnreadableError(str(error)) from None
    _refuse_session(line, todo.purpose)
    forwards, clashing = _without_clashes(todo.forwards)
    if not forwards:
        raise NoForwardsError("it forwards nothing, so there is nothing for a tunnel to do")
    table = host_table(line.ssh, answers, place)
    host = table.pop("host")
    table = {"host": host, **forward_table(forwards), **table}
    if todo.exit_on_forward_failure:
        table["exit_on_forward_failure"] = True
    said = [
        *notes.on_account(place),
        *line.old.dropped,
        *clashing,
        *notes.on_line(line.ssh, answers.line),
    ]
    if line.autossh is not None and line.settings is not None:
        said += notes.on_autossh(line.autossh, line.monitor, line.old.command.environment)
        said += _take_settings(line, line.settings, table)
    name = name_for(line.old.name, line.ssh.host.host, forwards)
    return ImportedTunnel(name, line.old.origin, table, tuple(said))


def forward_table(forwards: tuple[Forward, ...]) -> dict[str, object]:
    """The keys `local`, `remote` and `socks`, where there is something for them."""
    specs = {
        kind: [spec_of(forward) for forward in forwards if kind_of(forward) == kind]
        for kind in ("local", "remote", "socks")
    }
    return {kind: listed for kind, listed in specs.items() if listed}


def _no_session(line: ReadLine) -> ReadLine:
    """The line, unless its own words are enough to see that it is no tunnel."""
    for option in line.ssh.options:
        if option.letter in _NEVER_A_TUNNEL:
            raise UnreadableError(f"-{option.letter} connects to nothing that could be kept up")
    if line.ssh.purpose is not Purpose.SHELL:  # ssh_config may still say that there is none
        _refuse_session(line, line.ssh.purpose)
    return line


def _refuse_session(line: ReadLine, purpose: Purpose) -> None:
    keeps = "it cannot be a tunnel; `tunnelkeeper autossh` keeps it up"
    match purpose:
        case Purpose.STDIO:
            raise UnreadableError(
                "-W carries standard input and output: see `tunnelkeeper connect`"
            )
        case Purpose.SUBSYSTEM | Purpose.COMMAND:
            raise UnreadableError(f"it runs a command on the server, so {keeps}")
        case Purpose.SHELL:
            raise UnreadableError(
                f"it runs a shell on the server (there is no -N), so {keeps}. For its forwards "
                "alone, import the line with -N"
            )


def _without_clashes(forwards: tuple[Forward, ...]) -> tuple[tuple[Forward, ...], list[str]]:
    """The forwards that can listen together, and a remark on each that is left out.

    ssh starts with the first one and warns of the second.
    """
    kept: list[Forward] = []
    said: list[str] = []
    for forward in forwards:
        side = isinstance(forward, LocallyBoundForward)
        others = [each for each in kept if isinstance(each, LocallyBoundForward) == side]
        in_the_way = [each for each in others if overlap(each.listen, forward.listen)]
        if in_the_way:
            said.append(f"{spec_of(forward)}: {spec_of(in_the_way[0])} listens there already")
        else:
            kept.append(forward)
    return tuple(kept), said


def _take_settings(line: ReadLine, settings: Settings, table: dict[str, object]) -> Iterator[str]:
    """Put AUTOSSH_ variables into the table; what is yielded is to be told."""
    environment = line.old.command.environment
    if "AUTOSSH_GATETIME" in environment:
        if settings.gate_time:
            table["gate_time"] = settings.gate_time
        yield notes.on_gate_time(settings)
    if settings.max_starts > 0:
        table["max_attempts"] = settings.max_starts
        yield (
            "AUTOSSH_MAXSTART is max_attempts: failures in a row, not starts; the tunnel is then "
            "blocked until `tunnelkeeper up NAME` or `restart`"
        )
    if settings.max_lifetime:
        table["max_lifetime"] = settings.max_lifetime
        yield "AUTOSSH_MAXLIFETIME is max_lifetime: the connection is then replaced"
    if "AUTOSSH_POLL" in environment:
        if line.monitor is None:
            yield f"AUTOSSH_POLL={settings.poll}: without a monitoring port it only sets waits"
        elif "keepalive_interval" not in table:
            table["keepalive_interval"] = settings.poll
            yield "AUTOSSH_POLL is keepalive_interval"
        else:
            yield f"AUTOSSH_POLL={settings.poll}: ServerAliveInterval says it already"
