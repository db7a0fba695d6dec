"""Lookup of a tunnel's chain of hosts, jump hosts first, by the rules of ssh -J and ProxyJump.

ssh reaches a host behind `-J a,b` with `ssh -J a -W host b`, and b with `ssh -W b a`. So each host
is looked up separately, and only the first may have jump hosts of its own; the others are reached
through the chain. This module connects to nothing.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, replace
from math import inf
from typing import TYPE_CHECKING

from msgspec import structs

from tunnelkeeper.core.configuration import HostOptions
from tunnelkeeper.core.host_spec import parse_host_spec
from tunnelkeeper.net.thread_executor import READ_TIMEOUT
from tunnelkeeper.sshconfig.config_files import find_config_files
from tunnelkeeper.sshconfig.deviations import find_deviations
from tunnelkeeper.sshconfig.directives_in_effect import reject_forwards
from tunnelkeeper.sshconfig.lookup_request import WITHOUT_SESSION, Request, SshConfigError
from tunnelkeeper.sshconfig.query_cache import MAX_AGE, CachedQuery
from tunnelkeeper.sshconfig.resolve import LookupResult, jump_hosts, resolve
from tunnelkeeper.sshconfig.ssh_g_output import NONE
from tunnelkeeper.sshconfig.tokens import TokenError, expand_home, make_absolute

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from tunnelkeeper.core.configuration import Configuration, Host, Tunnel
    from tunnelkeeper.sshconfig.local_facts import Facts
    from tunnelkeeper.sshconfig.lookup_request import Answer, Query, Source

MAX_CHAIN_LENGTH = 32
"""Maximum jump hosts before a host. It stops a ProxyJump that derives new hosts (`x%h`)."""

UNCONFIGURED_HOST = Request(host="somehost", source=False)
"""A request without any configuration. Its answer has the built-in defaults of ssh."""


@dataclass(frozen=True, slots=True)
class Hop:
    """One host of a chain before its lookup.

    name: the reference as written. alias: its host part, under which ssh_config has its settings.
    arguments, command: options and command of the ssh command line, if it comes from one.
    """

    name: str
    alias: str
    options: HostOptions
    arguments: tuple[str, ...] = WITHOUT_SESSION
    command: tuple[str, ...] = ()

    @property
    def endpoint(self) -> tuple[str, tuple[int, ...] | None]:
        """The server, regardless of the user. No hop is a jump host of an equal endpoint."""
        return self.alias, self.options.port


class HostLookup:
    """Host lookup for one configuration. clock: monotonic seconds.

    A reloaded configuration needs a new HostLookup. All methods raise SshConfigError.
    """

    def __init__(
        self, configuration: Configuration, query: Query, facts: Facts, clock: Callable[[], float]
    ) -> None:
        self._configuration = configuration
        self._query = CachedQuery(query, clock)
        self._clock = clock
        self._search: tuple[float, asyncio.Future[tuple[str, ...]] | None] = (-inf, None)
        self._facts = facts
        self._default_answer: Answer | None = None

    async def resolve(self, tunnel: Tunnel) -> tuple[Host, ...]:
        """Return the hosts of a tunnel: jump hosts in ssh -J order, then the final host."""
        results = await self._look_up_chain(self._tunnel_hop(tunnel))
        if tunnel.forwards:
            reject_forwards(results[-1].name, results[-1].answer)
        return tuple(resolve(result) for result in results)

    async def config_files(self) -> tuple[str, ...]:
        """Return the files of ssh_config, and the folders in which it looks for more.

        The result is up to MAX_AGE old. It is empty while the files are on a disk that hangs. All
        callers share one search: a thousand tunnels that start need one thread.
        """
        started_at, search = self._search
        now = self._clock()
        if search is None or (search.done() and now - started_at >= MAX_AGE):
            try:
                source = source_for(self._configuration, self._facts)
            except SshConfigError:
                return ()
            loop = asyncio.get_running_loop()
            search = loop.run_in_executor(None, find_config_files, source, self._facts)
            self._search = now, search
        # Unlike awaiting the future, this does not cancel it if this caller is cancelled.
        await asyncio.wait({search}, timeout=READ_TIMEOUT)
        return search.result() if search.done() else ()

    def forget(self) -> None:
        """Forget earlier answers, because ssh_config has changed."""
        self._query.forget()
        self._search = (-inf, self._search[1])

    async def resolve_reference(self, reference: str) -> tuple[Host, ...]:
        """Return the hosts for a host that does not belong to a tunnel."""
        return tuple(resolve(host) for host in await self._look_up_chain(self._hop(reference)))

    async def resolve_command_line(
        self, reference: str, arguments: tuple[str, ...], command: tuple[str, ...]
    ) -> tuple[tuple[Host, ...], Answer]:
        """Return the hosts for an ssh command line, and ssh's answer for its host.

        arguments: the options of the line, which set as much as ssh_config. command: the arguments
        after the host.
        """
        hop = replace(self._hop(reference), arguments=arguments, command=command)
        results = await self._look_up_chain(hop)
        return tuple(resolve(result) for result in results), results[-1].answer

    async def find_deviations(
        self, tunnel: Tunnel, leave_out: frozenset[str] = frozenset()
    ) -> tuple[str, ...]:
        """Return one sentence for each setting of ssh_config that a tunnel does not follow.

        leave_out: directives that the caller reports.
        """
        results = await self._look_up_chain(self._tunnel_hop(tunnel))
        return tuple(text for result in results for text in find_deviations(result, leave_out))

    async def find_results(self, tunnel: Tunnel) -> tuple[LookupResult, ...]:
        """Return what sets each host of a tunnel, jump hosts first."""
        return tuple(await self._look_up_chain(self._tunnel_hop(tunnel)))

    async def find_answer(self, tunnel: Tunnel) -> Answer:
        """Return the settings of ssh_config for the host of a tunnel."""
        *_, result = await self._look_up_chain(self._tunnel_hop(tunnel))
        return result.answer

    def _tunnel_hop(self, tunnel: Tunnel) -> Hop:
        return _parse_hop(tunnel.host, lambda _: tunnel.options, prefer_reference=False)

    def _hop(self, name: str) -> Hop:
        """Return a hop with its [hosts] table, or else [defaults] without jump hosts."""
        hosts, defaults = self._configuration.hosts, self._configuration.defaults

        def options_of(host: str) -> HostOptions:
            return hosts.get(host) or replace(defaults, jump=None)

        return _parse_hop(name, options_of, prefer_reference=True)

    async def _look_up_chain(self, hop: Hop, later_hops: Sequence[Hop] = ()) -> list[LookupResult]:
        """Look up a host and its jump hosts. later_hops: the hosts that it is a jump host for."""
        if (
            any(hop.endpoint == later.endpoint for later in later_hops)
            or len(later_hops) >= MAX_CHAIN_LENGTH
        ):
            chain = " -> ".join(h.name for h in (*later_hops, hop))
            raise SshConfigError(
                f"the jump hosts form a loop: {chain}",
                "give one of them `jump = []`, or `ProxyJump none` in ssh_config",
            )
        jumps = self._configured_jumps(hop)
        jump = None if jumps is None else ",".join(jump.name for jump in jumps) or NONE
        result = await self._look_up(hop, jump)
        if jumps is None:
            jumps = [self._hop(reference) for reference in jump_hosts(result)]
        if not jumps:
            return [result]
        first, *others = jumps
        results = await self._look_up_chain(first, (*later_hops, hop))
        for other in others:
            next_result = await self._look_up(other, results[-1].name)
            results.append(structs.replace(next_result, jump=results[-1].original_host))
        return [*results, structs.replace(result, jump=results[-1].original_host)]

    def _configured_jumps(self, hop: Hop) -> list[Hop] | None:
        """Return a host's jump hosts in the config file; None to use those of ssh_config.

        If the host itself is in the list, only the jump hosts before it count. So a jump host that
        many hosts share can also be used directly. If it is the first, the list does not apply to
        it. proxy_command excludes jump (ssh_config(5)).
        """
        if hop.options.jump is None:
            return None if hop.options.proxy_command is None else []
        jumps: list[Hop] = []
        for reference in hop.options.jump:
            jump = self._hop(reference)
            if jump.endpoint == hop.endpoint:
                return jumps or None
            jumps.append(jump)
        return jumps

    async def _look_up(self, hop: Hop, jump: str | None) -> LookupResult:
        """Look up one host. jump: as in Request."""
        if self._default_answer is None:
            self._default_answer = await self._query(UNCONFIGURED_HOST)
        options = hop.options
        # Not the lists of algorithms: ssh rejects names that only asyncssh supports.
        settings = {"HostKeyAlias": options.host_key_alias, "Tag": options.tag}
        request = Request(
            host=hop.alias,
            user=options.user,
            port=options.port[0] if options.port else None,
            hostname=options.hostname,
            source=source_for(self._configuration, self._facts),
            jump=jump,
            options=tuple((key, value) for key, value in settings.items() if value is not None),
            arguments=hop.arguments,
            command=hop.command,
        )
        return LookupResult(
            name=hop.name,
            original_host=hop.alias,
            options=options,
            answer=await self._query(request),
            default_answer=self._default_answer,
            facts=self._facts,
        )


def source_for(configuration: Configuration, facts: Facts) -> Source:
    """Return the ssh_config that a configuration uses.

    Raises SshConfigError.
    """
    path = configuration.supervisor.ssh_config
    if not path:
        return path
    try:
        return make_absolute(expand_home(path, facts), facts)
    except TokenError as error:
        raise SshConfigError(f"supervisor.ssh_config {path!r}: {error}") from None


def _parse_hop(
    reference: str, options_of: Callable[[str], HostOptions], *, prefer_reference: bool
) -> Hop:
    """Parse a reference. Its user and port override a host's options but not a tunnel's."""
    try:
        spec = parse_host_spec(reference)
    except ValueError as error:
        raise SshConfigError(str(error)) from None
    port = None if spec.port is None else (spec.port,)
    written = HostOptions(user=spec.user, port=port)
    known = options_of(spec.host)
    options = written.merged_over(known) if prefer_reference else known.merged_over(written)
    return Hop(reference, spec.host, options)
