"""Queries of `ssh -G` for source commands, and their conversion into tunnels."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from tunnelkeeper.importing.convert import NoForwardsError, convert_command, parse_command
from tunnelkeeper.importing.host_table import AccountContext, SshGAnswers
from tunnelkeeper.importing.source_commands import TRUST_HINT, NotImportable, UnreadableError
from tunnelkeeper.net.process_group import run_with_children
from tunnelkeeper.sshconfig import (
    Request,
    SshConfigError,
    SshQuery,
    TrustedQuery,
    gather_facts,
    obstacle_to_ssh,
    source_for,
)
from tunnelkeeper.sshconfig.lookup import UNCONFIGURED_HOST

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tunnelkeeper.core.configuration import Configuration
    from tunnelkeeper.importing.convert import ParsedCommand
    from tunnelkeeper.importing.deduplicate import Outcome
    from tunnelkeeper.importing.source_commands import Finding
    from tunnelkeeper.sshconfig import Answer, Facts, Query
    from tunnelkeeper.sshconfig.lookup_request import Source


@dataclass(frozen=True, slots=True)
class Resolver:
    """Resolves source commands with `ssh -G`.

    target_ssh_config: the ssh_config that the imported tunnels will use. source_ssh_config: the
    one that ssh used for commands without -F. trusts_files: whether to read a file of -F that
    another user could have written.
    """

    facts: Facts
    target_ssh_config: Source
    source_ssh_config: Source = None
    trusts_files: bool = False

    def for_target_hosts(self) -> Resolver:
        """Return a resolver for commands that stand for hosts of the target ssh_config."""
        return replace(self, source_ssh_config=self.target_ssh_config)

    def resolve(self, findings: Sequence[Finding]) -> list[Outcome]:
        """Return the tunnel or the reason for each finding, in order."""
        return run_with_children(_Resolution(self).resolve(findings))


def make_resolver(configuration: Configuration | None, *, trusts_files: bool = False) -> Resolver:
    """Return the resolver for a configuration; None if the config file is not known.

    trusts_files: as in Resolver.

    Raises UnreadableError if ssh cannot run or its ssh_config cannot be used.
    """
    facts = gather_facts()
    obstacle = obstacle_to_ssh(facts)
    if obstacle is not None:
        raise UnreadableError(f"{obstacle}, and import needs `ssh -G` to interpret commands")
    try:
        target = source_for(configuration, facts) if configuration else None
        return Resolver(facts, target, trusts_files=trusts_files)
    except SshConfigError as error:
        raise UnreadableError(error.message, error.hint) from None


class _Resolution:
    """One batch of queries, which run concurrently."""

    def __init__(self, resolver: Resolver) -> None:
        self._facts = resolver.facts
        self._target_ssh_config = resolver.target_ssh_config
        self._source_ssh_config = resolver.source_ssh_config
        query = SshQuery()
        self._query: Query = (
            query if resolver.trusts_files else TrustedQuery(query, resolver.facts, TRUST_HINT)
        )
        self._defaults: Answer = {}

    async def resolve(self, findings: Sequence[Finding]) -> list[Outcome]:
        """Resolve all findings. SshQuery limits how many ssh processes run at once."""
        try:
            self._defaults = await self._query(UNCONFIGURED_HOST)
        except SshConfigError as error:
            return [_make_not_importable(finding.origin, error) for finding in findings]
        async with asyncio.TaskGroup() as tasks:
            resolutions = [tasks.create_task(self._resolve(finding)) for finding in findings]
        return [task.result() for task in resolutions]

    async def _resolve(self, finding: Finding) -> Outcome:
        if isinstance(finding, NotImportable):
            return finding
        context = AccountContext(
            account=finding.command.account or self._facts.user,
            current_user=self._facts.user,
            working_directory=finding.working_directory,
        )
        try:
            parsed = parse_command(finding)
            return convert_command(parsed, await self._query_answers(parsed, context), context)
        except UnreadableError as error:
            forwards_nothing = isinstance(error, NoForwardsError)
            return NotImportable(finding.origin, str(error), forwards_nothing, error.hint)
        except SshConfigError as error:
            return _make_not_importable(finding.origin, error)

    async def _query_answers(self, parsed: ParsedCommand, context: AccountContext) -> SshGAnswers:
        host, user, port = parsed.ssh.host.host, parsed.ssh.user, parsed.ssh.port
        files = parsed.ssh.values("F")
        source = _resolve_ssh_config(files[-1], context) if files else self._source_ssh_config
        request = Request(host, user, port, source, arguments=parsed.ssh_g_arguments)
        return SshGAnswers(
            command=await self._query(request),
            source_config=await self._query(Request(host, user, port, source)),
            target_config=await self._query(Request(host, user, port, self._target_ssh_config)),
            defaults=self._defaults,
        )


def _make_not_importable(origin: str, error: SshConfigError) -> NotImportable:
    return NotImportable(origin, error.message, hint=error.hint)


def _resolve_ssh_config(file: str, context: AccountContext) -> Source:
    return False if file.lower() == "none" else context.resolve_path(file)
