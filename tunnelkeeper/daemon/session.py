"""One session of a tunnel: from looking up its hosts to the end of its connection.

It runs as one task of its runner, reports what it reaches, and returns why it ended; cancelling it
closes everything that it opened.
"""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from tunnelkeeper.core.failures import Cause, Failure, printable
from tunnelkeeper.daemon.filewatch import Signatures, signatures
from tunnelkeeper.ssh.steps import SshFailure, failure_from
from tunnelkeeper.sshconfig import SshConfigError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from tunnelkeeper.core.tunnels import Host, Tunnel
    from tunnelkeeper.daemon.forwards import RunningRemote
    from tunnelkeeper.daemon.report import SessionReport
    from tunnelkeeper.forwarding.gate import Gate
    from tunnelkeeper.ssh.chain import Chain, Jumps

log = logging.getLogger(__name__)


class WayFinder(Protocol):
    """Looks up the hosts of a tunnel, first hop first."""

    async def chain(self, tunnel: Tunnel) -> tuple[Host, ...]:
        """Raises SshConfigError."""


@dataclass(slots=True)
class Session:
    """What is known of the session while it runs. way and chain: once they are there.

    files: how the key and known_hosts files of the way were before they were used.
    """

    tunnel: Tunnel
    finder: WayFinder
    jumps: Jumps
    gate: Gate
    report: SessionReport
    remotes: Callable[[], Sequence[RunningRemote]]
    on_open: Callable[[], Failure | None]
    way: tuple[Host, ...] = ()
    chain: Chain | None = None
    files: Signatures = field(default_factory=dict)
    _attached: list[RunningRemote] = field(default_factory=list)

    async def run(self) -> Failure:
        """Connect, keep the forwards, and wait for the end; returns why it came.

        on_open is called once everything was tried; a failure it returns ends the session.
        """
        try:
            return await self._connect_and_hold()
        except SshFailure as failed:
            return failed.failure
        except Exception as error:
            log.exception("tunnel %s: the session failed", self.tunnel.name)
            return Failure(Cause.PROTOCOL, f"internal error: {printable(repr(error))}")

    def attach(self, remote: RunningRemote, tasks: asyncio.TaskGroup) -> None:
        """Let a forward listen on the server; before there is a connection, that comes with it."""
        if self.chain is not None:
            self._attached.append(remote)
            remote.attach(self.chain.connection, tasks)

    async def _connect_and_hold(self) -> Failure:
        try:
            await self._connect()
            return await self._hold()
        finally:
            await self._close()

    async def _connect(self) -> None:
        self.report.step(self.tunnel.host, "ssh_config")
        try:
            self.way = await self.finder.chain(self.tunnel)
        except SshConfigError as error:
            cause = Cause.DNS if error.temporary else Cause.SSH_CONFIG
            failure = Failure(cause, error.message, self.tunnel.host, error.hint)
            raise SshFailure(failure) from error
        except OSError as error:
            raise SshFailure(failure_from(error, self.tunnel.host, "connect")) from error
        self.files = signatures(_files_of(self.way))
        self.chain = await self.jumps.connect(self.way, self.report)

    async def _hold(self) -> Failure:
        assert self.chain is not None  # noqa: S101  _connect() made it
        connection = self.chain.connection
        self.gate.open(connection)
        self.report.step(str(connection.host), "forwards")
        async with asyncio.TaskGroup() as tasks:
            for remote in self.remotes():
                self.attach(remote, tasks)
        refused = None if connection.is_closed else self.on_open()
        return refused or await connection.ended()

    async def _close(self) -> None:
        self.gate.shut()
        for remote in self._attached:
            remote.detach()
        chain, self.chain = self.chain, None
        if chain is not None:
            await chain.close()


def _files_of(way: tuple[Host, ...]) -> Iterator[str]:
    for host in way:
        yield from (*host.identity_files, *host.certificate_files)
        yield from (*host.user_known_hosts, *host.system_known_hosts)
