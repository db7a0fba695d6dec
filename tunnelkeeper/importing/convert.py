"""Conversion of an ssh or autossh command into a tunnel of the config file.

Pure: the caller passes the answers of `ssh -G`. The forwards come from them, so those that
ssh_config adds are included. A command that runs something on the server is refused.
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
from tunnelkeeper.core.configuration import HostOptions
from tunnelkeeper.core.forward_spec import Forward, LocallyBoundForward, kind_of, socket_paths
from tunnelkeeper.core.tunnel_names import make_name
from tunnelkeeper.importing.host_table import AccountContext, SshGAnswers, make_host_table
from tunnelkeeper.importing.notes import (
    note_on_gate_time,
    notes_on_account,
    notes_on_autossh,
    notes_on_command,
)
from tunnelkeeper.importing.source_commands import ImportedTunnel, SourceCommand, UnreadableError
from tunnelkeeper.importing.toml_text import format_forward
from tunnelkeeper.net.bind_addresses import overlap
from tunnelkeeper.sshconfig.directives_in_effect import reject_refused
from tunnelkeeper.sshconfig.login_settings import login_settings

if TYPE_CHECKING:
    from collections.abc import Iterator

_NO_TUNNEL_OPTIONS = frozenset("GOQV")


class NoForwardsError(UnreadableError):
    """The command was understood but has no forwards."""


@dataclass(frozen=True, slots=True)
class ParsedCommand:
    """A parsed ssh or autossh command. The fields of autossh are None for ssh."""

    source: SourceCommand
    ssh: SshCommand
    autossh: AutosshCommand | None = None
    monitor: Monitor | None = None
    settings: Settings | None = None

    @property
    def ssh_g_arguments(self) -> tuple[str, ...]:
        """The options to pass to `ssh -G`."""
        return ssh_g_options(self.ssh)


def parse_command(source: SourceCommand) -> ParsedCommand:
    """Parse a command as ssh or autossh would.

    Raises UnreadableError if the command is invalid or obviously not a tunnel.
    """
    command = source.command
    if not all(argument.isprintable() for argument in command.arguments):
        raise UnreadableError("an argument contains control characters or is not UTF-8")
    try:
        if command.program == "ssh":
            return _require_no_session(ParsedCommand(source, parse_ssh(command.arguments)))
        autossh = parse_autossh(command.arguments)
        settings = parse_environment(command.environment)
        monitoring_port = autossh.monitor or settings.port
        monitor = parse_monitor(monitoring_port) if monitoring_port else None
    except CommandLineError as error:
        raise UnreadableError(str(error)) from None
    return _require_no_session(ParsedCommand(source, autossh.ssh, autossh, monitor, settings))


def convert_command(
    parsed: ParsedCommand, answers: SshGAnswers, context: AccountContext
) -> ImportedTunnel:
    """Return the tunnel that a command stands for.

    Raises UnreadableError if the command is not a tunnel, and SshConfigError if it has a directive
    that forbids what the tunnel would do.
    """
    try:
        plan = plan_session(parsed.ssh, answers.command, {})
    except CommandLineError as error:
        raise UnreadableError(str(error)) from None
    _reject_session(parsed, plan.purpose)
    if any("${" in path for forward in plan.forwards for path in socket_paths(forward)):
        raise UnreadableError("a socket path contains '${', which the config file cannot express")
    forwards, conflict_notes = _drop_conflicting_forwards(plan.forwards)
    if not forwards:
        raise NoForwardsError("it forwards nothing, so there is nothing for a tunnel to do")
    reject_refused(parsed.ssh.host.host, answers.command)
    login_settings(parsed.ssh.host.host, HostOptions(), answers.command, answers.defaults)
    table = make_host_table(parsed.ssh, answers, context)
    host = table.pop("host")
    table = {"host": host, **make_forward_table(forwards), **table}
    if plan.exit_on_forward_failure:
        table["exit_on_forward_failure"] = True
    notes = [
        *notes_on_account(context),
        *parsed.source.notes,
        *conflict_notes,
        *notes_on_command(parsed.ssh, answers.command),
    ]
    if parsed.autossh is not None and parsed.settings is not None:
        notes += notes_on_autossh(parsed.autossh, parsed.monitor, parsed.source.command.environment)
        notes += _apply_autossh_settings(parsed, parsed.settings, table)
    name = make_name(parsed.source.name, parsed.ssh.host.host, forwards)
    return ImportedTunnel(name, parsed.source.origin, table, tuple(notes))


def make_forward_table(forwards: tuple[Forward, ...]) -> dict[str, object]:
    """Return the keys `local`, `remote` and `socks`; a key without forwards is left out."""
    specs = {
        kind: [format_forward(forward) for forward in forwards if kind_of(forward) == kind]
        for kind in ("local", "remote", "socks")
    }
    return {kind: values for kind, values in specs.items() if values}


def _require_no_session(parsed: ParsedCommand) -> ParsedCommand:
    """Return the command unless its own arguments show that it is not a tunnel."""
    for option in parsed.ssh.options:
        if option.letter in _NO_TUNNEL_OPTIONS:
            raise UnreadableError(f"-{option.letter} opens no connection to keep up")
    if parsed.ssh.purpose is not Purpose.SHELL:  # ssh_config may still set SessionType none
        _reject_session(parsed, parsed.ssh.purpose)
    return parsed


def _reject_session(parsed: ParsedCommand, purpose: Purpose) -> None:
    hint = "`tunnelkeeper autossh` in front of the line keeps it up"
    match purpose:
        case Purpose.STDIO:
            message = "-W forwards standard input and output, so it cannot be a tunnel"
            raise UnreadableError(message, "`tunnelkeeper connect HOST HOST:PORT` does the same")
        case Purpose.SUBSYSTEM | Purpose.COMMAND:
            message = "it runs a command on the server, so it cannot be a tunnel"
            raise UnreadableError(message, hint)
        case Purpose.SHELL:
            raise UnreadableError(
                "it runs a shell on the server, because it has no -N, so it cannot be a tunnel",
                f"to import only its forwards, add -N; {hint}",
            )


def _drop_conflicting_forwards(
    forwards: tuple[Forward, ...],
) -> tuple[tuple[Forward, ...], list[str]]:
    """Return the forwards that can listen together, and a note on each that is left out.

    Of two conflicting forwards ssh opens the first and warns about the second.
    """
    kept: list[Forward] = []
    notes: list[str] = []
    for forward in forwards:
        is_local = isinstance(forward, LocallyBoundForward)
        same_side = [other for other in kept if isinstance(other, LocallyBoundForward) == is_local]
        conflicts = [other for other in same_side if overlap(other.listen, forward.listen)]
        if conflicts:
            left_out, listener = format_forward(forward), format_forward(conflicts[0])
            notes.append(f"{left_out} is left out: {listener} already listens on that address")
        else:
            kept.append(forward)
    return tuple(kept), notes


def _apply_autossh_settings(
    parsed: ParsedCommand, settings: Settings, table: dict[str, object]
) -> Iterator[str]:
    """Add the keys for AUTOSSH_ variables to the table, and yield a note on each."""
    environment = parsed.source.command.environment
    if "AUTOSSH_GATETIME" in environment:
        if settings.gate_time:
            table["gate_time"] = settings.gate_time
        yield note_on_gate_time(settings)
    if settings.max_starts > 0:
        table["max_attempts"] = settings.max_starts
        yield (
            "AUTOSSH_MAXSTART became max_attempts, which counts failures in a row, not starts; the "
            "tunnel is then blocked until `tunnelkeeper up NAME` or `restart`"
        )
    if settings.max_lifetime:
        table["max_lifetime"] = settings.max_lifetime
        yield "AUTOSSH_MAXLIFETIME became max_lifetime: after that time the connection is replaced"
    if "AUTOSSH_POLL" in environment:
        if parsed.monitor is None:
            reason = "without a monitoring port it only sets restart delays"
            yield f"AUTOSSH_POLL={settings.poll}: {reason}"
        elif "keepalive_interval" not in table:
            table["keepalive_interval"] = settings.poll
            yield "AUTOSSH_POLL became keepalive_interval"
        else:
            reason = "ServerAliveInterval already sets keepalive_interval"
            yield f"AUTOSSH_POLL={settings.poll}: {reason}"
