"""Reads `local`, `remote` and `socks`: specs as ssh writes them, or tables of their two ends.

The grammar of specs is core.forwards'; here is only what TOML adds to it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from tunnelkeeper.config.problems import Fault, ValueRefusedError, mismatch, refused
from tunnelkeeper.config.tables import table_of
from tunnelkeeper.config.values import port, several
from tunnelkeeper.core.failures import printable
from tunnelkeeper.core.forwards import (
    LOOPBACK,
    Address,
    LocalForward,
    RemoteForward,
    RemoteSide,
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

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")


def local(value: object) -> tuple[LocalForward, ...]:
    """Forwards that listen here (ssh -L)."""
    return several(_local)(value)


def remote(value: object) -> tuple[RemoteSide, ...]:
    """Forwards that listen on the server (ssh -R)."""
    return several(_remote)(value)


def socks(value: object) -> tuple[SocksForward, ...]:
    """SOCKS proxies that listen here (ssh -D)."""
    return several(_socks)(value)


def _local(value: object) -> LocalForward:
    if isinstance(value, str):
        return _parsed(parse_local, value)
    if not isinstance(value, dict):
        raise mismatch('"[bind_address:]port:host:hostport" in quotes', value)
    listen, connect = _ends(value)
    if connect is None:
        raise refused("'connect' is missing: where do the clients of 'listen' go?")
    return LocalForward(_chosen_here(listen), connect)


def _remote(value: object) -> RemoteSide:
    if isinstance(value, str):
        return _parsed(parse_remote, value)
    if not isinstance(value, dict):
        expected = '"[bind_address:]port:host:hostport" or, for SOCKS, "[bind_address:]port"'
        raise mismatch(f"{expected} in quotes", value)
    listen, connect = _ends(value)
    return RemoteSocksForward(listen) if connect is None else RemoteForward(listen, connect)


def _socks(value: object) -> SocksForward:
    if isinstance(value, str):
        return _parsed(parse_socks, value)
    if not isinstance(value, dict):
        return SocksForward(TcpAddress(LOOPBACK, port(value)))
    listen, connect = _ends(value)
    if connect is not None:
        advice = "leave it out: each client of a SOCKS proxy names its own target"
        raise ValueRefusedError(Fault(("connect",), advice))
    return SocksForward(_chosen_here(listen))


def _ends(table: dict[str, object]) -> tuple[Address, Address | None]:
    """Read { listen, connect }; connect may be missing."""
    ends = _ENDS(table)
    if "listen" not in ends:
        raise refused("'listen' is missing: [bind_address:]port or a path")
    return ends["listen"], ends.get("connect")


def _listen(value: object) -> Address:
    """An end to listen on; port 0, which the server chooses, is for the caller to judge."""
    if isinstance(value, str):
        return _parsed(parse_listen, value)
    return TcpAddress(LOOPBACK, 0 if _is_zero(value) else port(value))


def _connect(value: object) -> Address:
    if isinstance(value, str):
        return _parsed(parse_target, value)
    raise mismatch('"host:port" or a path, in quotes', value)


_ENDS = table_of({"listen": _listen, "connect": _connect})


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
