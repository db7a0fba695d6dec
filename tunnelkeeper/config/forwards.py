"""Reads `local`, `remote` and `socks`: specs as ssh writes them, or tables of their two ends.

The grammar of specs is core.forwards', that of checks core.probes'; here is only what TOML adds.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeVar

from tunnelkeeper.config.problems import Fault, ValueRefusedError, mismatch, refused
from tunnelkeeper.config.tables import Keys, table_of
from tunnelkeeper.config.values import at_least, port, positive_duration, several, text
from tunnelkeeper.core.failures import printable
from tunnelkeeper.core.forwards import (
    LOOPBACK,
    Address,
    Forward,
    LocalForward,
    RemoteForward,
    RemoteSocksForward,
    SocksForward,
    SpecError,
    TcpAddress,
    parse_listen,
    parse_local,
    parse_remote,
    parse_socks,
    parse_target,
)
from tunnelkeeper.core.probes import Probe, ProbeError, parse_probe

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

T = TypeVar("T")

CHECK_KEYS: Keys = {
    "check_interval": positive_duration,
    "check_timeout": positive_duration,
    "check_failures": at_least(1),
}
"""How a check is made: for one forward in its table, else for all of a tunnel or of the file."""


@dataclass(frozen=True, slots=True)
class Entry:
    """A forward as the file has it. settings: those of CHECK_KEYS that it says itself."""

    forward: Forward
    probe: Probe | None = None
    settings: Mapping[str, Any] = field(default_factory=dict)


def local(value: object) -> tuple[Entry, ...]:
    """Forwards that listen here (ssh -L)."""
    return several(_local)(value)


def remote(value: object) -> tuple[Entry, ...]:
    """Forwards that listen on the server (ssh -R)."""
    return several(_remote)(value)


def socks(value: object) -> tuple[Entry, ...]:
    """SOCKS proxies that listen here (ssh -D)."""
    return several(_socks)(value)


def _local(value: object) -> Entry:
    if isinstance(value, str):
        return Entry(_parsed(parse_local, value))
    if not isinstance(value, dict):
        raise mismatch('"[bind_address:]port:host:hostport" in quotes', value)
    table = _read(value)
    if "connect" not in table:
        raise refused("'connect' is missing: where do the clients of 'listen' go?")
    return _entry(LocalForward(_chosen_here(table["listen"]), table["connect"]), table)


def _remote(value: object) -> Entry:
    if isinstance(value, str):
        return Entry(_parsed(parse_remote, value))
    if not isinstance(value, dict):
        expected = '"[bind_address:]port:host:hostport" or, for SOCKS, "[bind_address:]port"'
        raise mismatch(f"{expected} in quotes", value)
    table = _read(value)
    if "connect" not in table:
        return _entry(RemoteSocksForward(table["listen"]), table)
    return _entry(RemoteForward(table["listen"], table["connect"]), table)


def _socks(value: object) -> Entry:
    if isinstance(value, str):
        return Entry(_parsed(parse_socks, value))
    if not isinstance(value, dict):
        return Entry(SocksForward(TcpAddress(LOOPBACK, port(value))))
    table = _read(value)
    if "connect" in table:
        advice = "leave it out: each client of a SOCKS proxy names its own target"
        raise ValueRefusedError(Fault(("connect",), advice))
    return _entry(SocksForward(_chosen_here(table["listen"])), table)


def _read(table: dict[str, object]) -> dict[str, Any]:
    """The values of a table; all but listen may be missing."""
    values = _TABLE(table)
    if "listen" not in values:
        raise refused("'listen' is missing: [bind_address:]port or a path")
    return values


def _entry(forward: Forward, table: dict[str, Any]) -> Entry:
    settings = {key: table[key] for key in CHECK_KEYS if key in table}
    if "check" in table:
        try:
            return Entry(forward, parse_probe(table["check"], forward), settings)
        except ProbeError as error:
            raise ValueRefusedError(Fault(("check",), printable(str(error)))) from None
    if settings:
        key = next(iter(settings))
        raise ValueRefusedError(Fault((key,), "there is no 'check' that it could be about"))
    return Entry(forward)


def _listen(value: object) -> Address:
    """An end to listen on; port 0, which the server chooses, is for the caller to judge."""
    if isinstance(value, str):
        return _parsed(parse_listen, value)
    return TcpAddress(LOOPBACK, 0 if _is_zero(value) else port(value))


def _connect(value: object) -> Address:
    if isinstance(value, str):
        return _parsed(parse_target, value)
    raise mismatch('"host:port" or a path, in quotes', value)


_TABLE = table_of({"listen": _listen, "connect": _connect, "check": text, **CHECK_KEYS})


def _is_zero(value: object) -> bool:
    return type(value) is int and value == 0


def _chosen_here(listen: Address) -> Address:
    """A listener on this machine has a port that its clients can know beforehand."""
    if isinstance(listen, TcpAddress) and listen.port == 0:
        raise ValueRefusedError(Fault(("listen",), "expected a port from 1 to 65535, got 0"))
    return listen


def _parsed(parse: Callable[[str], T], spec: str) -> T:
    try:
        return parse(spec)
    except SpecError as error:
        raise refused(printable(str(error))) from None
