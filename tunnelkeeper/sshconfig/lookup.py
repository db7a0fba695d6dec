"""Resolves a tunnel's whole chain of hosts, jump hosts first, as ssh -J and ProxyJump have it.

ssh reaches a host behind `-J a,b` by running `ssh -J a -W host b`, and b by `ssh -W b a`. So each
host is looked up by itself, and only the first one may bring jump hosts of its own: for the others
the chain is the way. That is what is done here, without connecting to anything.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from tunnelkeeper.core.configuration import HostOptions
from tunnelkeeper.core.host_spec import parse_host_spec
from tunnelkeeper.sshconfig.lookup_request import WITHOUT_SESSION, Request, SshConfigError
from tunnelkeeper.sshconfig.query_cache import SharedQuery
from tunnelkeeper.sshconfig.resolve import Asked, jumps_of, remarks_on, resolve
from tunnelkeeper.sshconfig.tokens import TokenError, absolute, expand_home

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from tunnelkeeper.core.configuration import Configuration, Host, Tunnel
    from tunnelkeeper.sshconfig.local_facts import Facts
    from tunnelkeeper.sshconfig.lookup_request import Answer, Query, Source

LONGEST_CHAIN = 32
"""Hosts on the way to one; more is a ProxyJump that makes up a new host from each (`x%h`)."""

NOBODY = Request(host="somehost", source=False)
"""What ssh says of it without any configuration is its built-in default."""


@dataclass(frozen=True, slots=True)
class _Stop:
    """One host of a chain before its lookup. name: as it was written; host: what ssh is asked.

    arguments, command: what a command line of ssh says around it, if it stands on one.
    """

    name: str
    reference: str
    host: str
    options: HostOptions
    arguments: tuple[str, ...] = WITHOUT_SESSION
    command: tuple[str, ...] = ()

    @property
    def server(self) -> tuple[str, tuple[int, ...] | None]:
        """Equal for two stops where one is no way to the other, whoever logs in there."""
        return self.reference, self.options.port


class HostLookup:
    """Looks hosts up for one configuration. ask: where; clock: monotonic seconds.

    Make a new one when the configuration was read again. All methods raise SshConfigError.
    """

    def __init__(
        self, configuration: Configuration, ask: Query, facts: Facts, clock: Callable[[], float]
    ) -> None:
        self._configuration = configuration
        self._ask = SharedQuery(ask, clock)
        self._facts = facts
        self._unchosen: Answer | None = None

    async def chain(self, tunnel: Tunnel) -> tuple[Host, ...]:
        """The hosts to a tunnel's end: jump hosts in ssh -J order, then the final host."""
        return tuple(resolve(host) for host in await self._route(self._end_of(tunnel)))

    async def chain_to(self, reference: str) -> tuple[Host, ...]:
        """The same for a host that is no tunnel."""
        return tuple(resolve(host) for host in await self._route(self._stop(reference)))

    async def chain_of_line(
        self, reference: str, arguments: tuple[str, ...], command: tuple[str, ...]
    ) -> tuple[tuple[Host, ...], Answer]:
        """The same for the host of a command line of ssh, and all that ssh answers for it.

        arguments: the line's options, which say as much of the host as ssh_config does. command:
        the words behind the host.
        """
        stop = replace(self._stop(reference), arguments=arguments, command=command)
        route = await self._route(stop)
        return tuple(resolve(host) for host in route), route[-1].answer

    async def remarks(self, tunnel: Tunnel) -> tuple[str, ...]:
        """What ssh_config says of the hosts of a chain and cannot be honoured, for `check`."""
        route = await self._route(self._end_of(tunnel))
        return tuple(remark for host in route for remark in remarks_on(host))

    def _end_of(self, tunnel: Tunnel) -> _Stop:
        return _stop(tunnel.host, lambda _: tunnel.options, reference_wins=False)

    def _stop(self, name: str) -> _Stop:
        """A host that is no tunnel's: its [hosts] table, or else [defaults] without their jump."""
        hosts, defaults = self._configuration.hosts, self._configuration.defaults

        def options_of(host: str) -> HostOptions:
            return hosts.get(host) or replace(defaults, jump=None)

        return _stop(name, options_of, reference_wins=True)

    async def _route(self, stop: _Stop, seen: Sequence[_Stop] = ()) -> list[Asked]:
        """A host and those before it. seen: the hosts that this one is on the way to."""
        if any(stop.server == other.server for other in seen) or len(seen) >= LONGEST_CHAIN:
            way = " -> ".join(s.name for s in (*seen, stop))
            raise SshConfigError(
                f"the jump hosts lead in a circle: {way}",
                "give one of them `jump = []`, or `ProxyJump none` in ssh_config",
            )
        jumps = self._jumps_in_the_file(stop)
        asked = await self._asked(stop, with_jumps=jumps is None)
        if jumps is None:
            jumps = [self._stop(reference) for reference in jumps_of(asked)]
        if not jumps:
            return [asked]
        first, *others = jumps
        route = await self._route(first, (*seen, stop))
        for other in others:
            behind = await self._asked(other, with_jumps=False)
            route.append(replace(behind, jump=route[-1].asked))
        return [*route, replace(asked, jump=route[-1].asked)]

    def _jumps_in_the_file(self, stop: _Stop) -> list[_Stop] | None:
        """The jump hosts that the file gives a host; None: it leaves them to ssh_config.

        One that is its own jump host is reached by those before it, so that a jump host of many
        can be used by itself too. proxy_command competes with jump, as in ssh_config(5).
        """
        if stop.options.jump is None:
            return None if stop.options.proxy_command is None else []
        jumps: list[_Stop] = []
        for reference in stop.options.jump:
            jump = self._stop(reference)
            if jump.server == stop.server:
                break
            jumps.append(jump)
        return jumps

    async def _asked(self, stop: _Stop, *, with_jumps: bool) -> Asked:
        if self._unchosen is None:
            self._unchosen = await self._ask(NOBODY)
        options = stop.options
        written = {
            "HostKeyAlias": options.host_key_alias,
            "Ciphers": options.ciphers,
            "MACs": options.macs,
            "KexAlgorithms": options.kex_algorithms,
            "HostKeyAlgorithms": options.host_key_algorithms,
        }
        request = Request(
            host=stop.host,
            user=options.user,
            port=options.port[0] if options.port else None,
            source=source_for(self._configuration, self._facts),
            jumps=with_jumps,
            options=tuple((key, value) for key, value in written.items() if value is not None),
            arguments=stop.arguments,
            command=stop.command,
        )
        return Asked(
            name=stop.name,
            asked=stop.host,
            options=options,
            answer=await self._ask(request),
            unchosen=self._unchosen,
            facts=self._facts,
        )


def source_for(configuration: Configuration, facts: Facts) -> Source:
    """Where a configuration has its hosts looked up.

    Raises SshConfigError.
    """
    said = configuration.supervisor.ssh_config
    if not said:
        return said
    try:
        return absolute(expand_home(said, facts), facts)
    except TokenError as error:
        raise SshConfigError(f"supervisor.ssh_config {said!r}: {error}") from None


def _stop(name: str, options_of: Callable[[str], HostOptions], *, reference_wins: bool) -> _Stop:
    """Read a reference. A user or port in it goes over a host's options, and under a tunnel's."""
    try:
        reference = parse_host_spec(name)
    except ValueError as error:
        raise SshConfigError(str(error)) from None
    port = None if reference.port is None else (reference.port,)
    written = HostOptions(user=reference.user, port=port)
    known = options_of(reference.host)
    options = written.merged_over(known) if reference_wins else known.merged_over(written)
    return _Stop(name, reference.host, options.hostname or reference.host, options)
