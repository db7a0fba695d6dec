"""What a command line is to do: asks `ssh -G`, and refuses what cannot be honoured."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from tunnelkeeper.autossh.monitor_protocol import loop_forwards
from tunnelkeeper.autossh.session_plan import (
    HONOURED_DIRECTIVES,
    SessionPlan,
    plan_session,
    ssh_g_options,
)
from tunnelkeeper.autossh.ssh_command import CommandLineError
from tunnelkeeper.core.configuration import Configuration, SupervisorOptions, Tunnel
from tunnelkeeper.core.host_spec import HostSpec
from tunnelkeeper.sshconfig import (
    HostLookup,
    SshQuery,
    find_unsupported,
    gather_facts,
    ssh_is_installed,
)

if TYPE_CHECKING:
    from tunnelkeeper.autossh.command_line import Monitor
    from tunnelkeeper.autossh.ssh_command import SshCommand
    from tunnelkeeper.core.configuration import Host
    from tunnelkeeper.sshconfig import Facts


@dataclass(frozen=True, slots=True)
class CommandLineResolver:
    """Looks up the hosts of a line, as tunnel.context.HostResolver. facts: where it was given."""

    line: SshCommand
    facts: Facts = field(default_factory=gather_facts)

    async def chain(self, _tunnel: Tunnel) -> tuple[Host, ...]:
        """Raises SshConfigError."""
        return (await self.look_up())[0]

    async def look_up(self) -> tuple[tuple[Host, ...], dict[str, list[str]]]:
        """The hosts, and all that `ssh -G` answers for the last.

        Raises SshConfigError.
        """
        configuration = Configuration("", SupervisorOptions(ssh_config=self._source()))
        # A new one each time: what ssh_config says may have changed since the last attempt.
        lookup = HostLookup(configuration, SshQuery(), self.facts, time.monotonic)
        reference = str(HostSpec(self.line.user, self.line.host.host, self.line.port))
        line = self.line
        way, answer = await lookup.chain_for_command_line(
            reference, ssh_g_options(line), line.command
        )
        return way, dict(answer)

    def _source(self) -> str | Literal[False] | None:
        """The file of -F; of several ssh takes the last."""
        files = self.line.values("F")
        if files and files[-1].lower() == "none":
            return False
        return files[-1] if files else None


@dataclass(frozen=True, slots=True)
class ResolvedCommand:
    """What is to be done. remarks: what ssh_config asks for and is not done, for the log."""

    tunnel: Tunnel
    plan: SessionPlan
    resolver: CommandLineResolver
    warnings: tuple[str, ...]


async def resolve(line: SshCommand, monitor: Monitor | None) -> ResolvedCommand:
    """Look the line's host up.

    Raises LineError and SshConfigError.
    """
    if not ssh_is_installed():
        raise CommandLineError("ssh is not installed; what a line means is asked of `ssh -G`")
    finder = CommandLineResolver(line)
    _, answer = await finder.look_up()
    missing = [name for name in find_unsupported(answer) if name not in HONOURED_DIRECTIVES]
    said = {setting.keyword for setting in line.settings}
    refused = [name for name in missing if name.lower() in said]
    if refused:
        raise CommandLineError(f"-o {refused[0]} is not supported")
    todo = plan_session(line, answer, finder.facts.environment)
    tunnel = Tunnel(
        name=line.host.host,
        host=line.destination,
        forwards=todo.forwards + (loop_forwards(monitor) if monitor else ()),
        exit_on_forward_failure=todo.exit_on_forward_failure,
    )
    remarks = tuple(f"{name} of ssh_config is not supported" for name in missing)
    return ResolvedCommand(tunnel, todo, finder, remarks)
