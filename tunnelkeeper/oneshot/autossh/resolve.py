"""A command line resolved with `ssh -G`. It rejects unsupported options and opens no connection."""

from __future__ import annotations

import os
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
    find_ignored,
    gather_facts,
    obstacle_to_ssh,
)

if TYPE_CHECKING:
    from tunnelkeeper.autossh.command_line import Monitor
    from tunnelkeeper.autossh.ssh_command import SshCommand
    from tunnelkeeper.core.configuration import Host
    from tunnelkeeper.sshconfig import Facts


@dataclass(frozen=True, slots=True)
class CommandLineResolver:
    """A tunnel.context.HostResolver for a command line. facts: about the local machine."""

    line: SshCommand
    facts: Facts = field(default_factory=gather_facts)

    async def resolve(self, _tunnel: Tunnel) -> tuple[Host, ...]:
        """Return the hosts of the chain.

        Raises:
            SshConfigError: ssh_config cannot be read or used.
        """
        return (await self.look_up())[0]

    async def config_files(self) -> tuple[str, ...]:
        """Return nothing: a command line is run again by the rules of autossh only."""
        return ()

    def forget(self) -> None:
        """Do nothing: every lookup asks ssh."""

    async def look_up(self) -> tuple[tuple[Host, ...], dict[str, list[str]]]:
        """Return the hosts, and the output of `ssh -G` for the last one.

        Raises:
            SshConfigError: ssh_config cannot be read or used.
        """
        configuration = Configuration("", SupervisorOptions(ssh_config=self._source()))
        # Not cached: ssh_config may have changed since the last attempt.
        lookup = HostLookup(configuration, SshQuery(), self.facts, time.monotonic)
        reference = str(HostSpec(self.line.user, self.line.host.host, self.line.port))
        line = self.line
        hosts, answer = await lookup.resolve_command_line(
            reference, ssh_g_options(line), line.command
        )
        return hosts, dict(answer)

    def _source(self) -> str | Literal[False] | None:
        """Return the file of -F. ssh uses the last one."""
        files = self.line.values("F")
        if files and files[-1].lower() == "none":
            return False
        return files[-1] if files else None


@dataclass(frozen=True, slots=True)
class ResolvedCommand:
    """A resolved command line. warnings: unsupported directives of ssh_config, for the log."""

    tunnel: Tunnel
    plan: SessionPlan
    resolver: CommandLineResolver
    warnings: tuple[str, ...]


def missing_identity_files(line: SshCommand) -> tuple[str, ...]:
    """Return ssh's warning for each file of -i that is not accessible. ssh uses other keys then."""
    warnings = []
    for name in line.values("i"):
        path = os.path.expanduser(name)  # noqa: PTH111  Path reports an unknown user as an error
        try:
            os.stat(path)  # noqa: PTH116
        except OSError as error:
            warnings.append(f"Identity file {path} not accessible: {error.strerror}.")
    return tuple(warnings)


async def resolve(line: SshCommand, monitor: Monitor | None) -> ResolvedCommand:
    """Look up the host of a command line.

    Raises:
        CommandLineError: An option is not supported, or ssh cannot run.
        SshConfigError: ssh_config cannot be read or used.
    """
    resolver = CommandLineResolver(line)
    obstacle = obstacle_to_ssh(resolver.facts)
    if obstacle is not None:
        raise CommandLineError(f"{obstacle}, and `ssh -G` is needed to read the command line")
    _, answer = await resolver.look_up()
    missing = [name for name in find_ignored(answer) if name not in HONOURED_DIRECTIVES]
    given = {setting.keyword for setting in line.settings}
    refused = [name for name in missing if name.lower() in given]
    if refused:
        raise CommandLineError(f"-o {refused[0]} is not supported")
    plan = plan_session(line, answer, resolver.facts.environment)
    tunnel = Tunnel(
        name=line.host.host,
        host=line.destination,
        forwards=plan.forwards + (loop_forwards(monitor) if monitor else ()),
        exit_on_forward_failure=plan.exit_on_forward_failure,
    )
    warnings = tuple(f"{name} of ssh_config is not supported" for name in missing)
    return ResolvedCommand(tunnel, plan, resolver, warnings)
