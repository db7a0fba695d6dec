"""Asks `ssh -G` what old lines mean, and has them translated."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from tunnelkeeper.core.text import with_hint
from tunnelkeeper.importing.convert import NoForwardsError, read_line, translate
from tunnelkeeper.importing.host_table import Answers, Place
from tunnelkeeper.importing.source_commands import NotImportable, UnreadableError
from tunnelkeeper.sshconfig import (
    Request,
    SshConfigError,
    SshQuery,
    gather_facts,
    source_for,
    ssh_is_installed,
)
from tunnelkeeper.sshconfig.lookup import UNCONFIGURED_HOST

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tunnelkeeper.core.configuration import Configuration
    from tunnelkeeper.importing.convert import ReadLine
    from tunnelkeeper.importing.deduplicate import Outcome
    from tunnelkeeper.importing.source_commands import Finding
    from tunnelkeeper.sshconfig import Answer, Facts
    from tunnelkeeper.sshconfig.lookup_request import Source


@dataclass(frozen=True, slots=True)
class Resolver:
    """Who is asked about old lines.

    ours: where the imported tunnels will be looked up. theirs: where ssh looked up the hosts of old
    lines without -F.
    """

    facts: Facts
    ours: Source
    theirs: Source = None

    def of_our_hosts(self) -> Resolver:
        """The same for lines that are made up for hosts of our own ssh_config."""
        return replace(self, theirs=self.ours)

    def outcomes(self, findings: Sequence[Finding]) -> list[Outcome]:
        """What becomes of each finding, in their order."""
        return asyncio.run(_Asking(self).outcomes(findings))


def make_resolver(configuration: Configuration | None) -> Resolver:
    """The one for tunnels that will stand in a config file; None: nobody knows in which.

    Raises Unreadable where nobody can be asked.
    """
    if not ssh_is_installed():
        raise UnreadableError("ssh is not installed; what old lines mean is asked of `ssh -G`")
    facts = gather_facts()
    try:
        return Resolver(facts, source_for(configuration, facts) if configuration else None)
    except SshConfigError as error:
        raise UnreadableError(with_hint(error.message, error.hint)) from None


class _Asking:
    """Asks for lines, several at a time."""

    def __init__(self, asker: Resolver) -> None:
        self._facts = asker.facts
        self._ours = asker.ours
        self._theirs = asker.theirs
        self._query = SshQuery()
        self._builtin: Answer = {}

    async def outcomes(self, findings: Sequence[Finding]) -> list[Outcome]:
        """All of them; each has a task, and the query few places."""
        try:
            self._builtin = await self._query(UNCONFIGURED_HOST)
        except SshConfigError as error:
            return [_refused(each.origin, error) for each in findings]
        async with asyncio.TaskGroup() as tasks:
            asked = [tasks.create_task(self._outcome(each)) for each in findings]
        return [task.result() for task in asked]

    async def _outcome(self, finding: Finding) -> Outcome:
        if isinstance(finding, NotImportable):
            return finding
        place = Place(
            account=finding.command.account or self._facts.user,
            user=self._facts.user,
            folder=finding.folder,
        )
        try:
            line = read_line(finding)
            return translate(line, await self._answers(line, place), place)
        except UnreadableError as error:
            nothing = isinstance(error, NoForwardsError)
            return NotImportable(finding.origin, str(error), forwards_nothing=nothing)
        except SshConfigError as error:
            return _refused(finding.origin, error)

    async def _answers(self, line: ReadLine, place: Place) -> Answers:
        host, user, port = line.ssh.host.host, line.ssh.user, line.ssh.port
        files = line.ssh.values("F")
        theirs = _source_of(files[-1], place) if files else self._theirs
        asked = Request(host, user, port, theirs, arguments=line.arguments)
        return Answers(
            line=await self._query(asked),
            theirs=await self._query(Request(host, user, port, theirs)),
            ours=await self._query(Request(host, user, port, self._ours)),
            builtin=self._builtin,
        )


def _refused(origin: str, error: SshConfigError) -> NotImportable:
    return NotImportable(origin, with_hint(error.message, error.hint))


def _source_of(file: str, place: Place) -> Source:
    return False if file.lower() == "none" else place.path(file)
