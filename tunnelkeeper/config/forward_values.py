"""Reads `local`, `remote` and `socks`: specs as ssh writes them, or tables of their two ends.

core.forward_spec has the grammar of specs and core.probes that of checks. This adds TOML only.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeVar

from tunnelkeeper.config.errors import ValueProblem, ValueRefusedError, mismatch, refused
from tunnelkeeper.config.table_reader import Keys, read_keys
from tunnelkeeper.config.value_parsers import at_least, port, positive_duration, several, text
from tunnelkeeper.core.forward_spec import (
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
from tunnelkeeper.core.text import printable

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
    values, faults = _read(value)
    faults += _not_chosen_here(values)
    if "connect" not in value:
        faults.append(
            ValueProblem((), "'connect' is missing: where do the clients of 'listen' go?")
        )
    forward = LocalForward(_end(values, "listen"), _end(values, "connect"))
    return _entry(forward, value, values, faults)


def _remote(value: object) -> Entry:
    if isinstance(value, str):
        return Entry(_parsed(parse_remote, value))
    if not isinstance(value, dict):
        expected = '"[bind_address:]port:host:hostport" or, for SOCKS, "[bind_address:]port"'
        raise mismatch(f"{expected} in quotes", value)
    values, faults = _read(value)
    listen = _end(values, "listen")
    if "connect" not in value:
        return _entry(RemoteSocksForward(listen), value, values, faults)
    return _entry(RemoteForward(listen, _end(values, "connect")), value, values, faults)


def _socks(value: object) -> Entry:
    if isinstance(value, str):
        return Entry(_parsed(parse_socks, value))
    if not isinstance(value, dict):
        return Entry(SocksForward(TcpAddress(LOOPBACK, port(value))))
    values, faults = _read(value)
    faults += _not_chosen_here(values)
    if "connect" in values:
        advice = "leave it out: each client of a SOCKS proxy names its own target"
        faults.append(ValueProblem(("connect",), advice))
    return _entry(SocksForward(_end(values, "listen")), value, values, faults)


def _read(table: dict[str, object]) -> tuple[dict[str, Any], list[ValueProblem]]:
    """The values of a table that can be read, and what is wrong with the others."""
    values, faults = read_keys(table, _TABLE)
    if "listen" not in table:
        faults.append(ValueProblem((), "'listen' is missing: [bind_address:]port or a path"))
    return values, faults


def _end(values: dict[str, Any], key: str) -> Address:
    """One end of a forward; any address where it could not be read, which is a fault already.

    So its check can be read all the same: that one depends on the forward's kind.
    """
    end: Address = values.get(key, TcpAddress(LOOPBACK, 1))
    return end


def _entry(
    forward: Forward, table: dict[str, object], values: dict[str, Any], faults: list[ValueProblem]
) -> Entry:
    """A forward with its check, unless anything of its table is wrong."""
    settings = {key: values[key] for key in CHECK_KEYS if key in values}
    if "check" not in table:
        faults += [
            ValueProblem((key,), "there is no 'check' that it could be about") for key in settings
        ]
    probe = None
    if "check" in values:
        try:
            probe = parse_probe(values["check"], forward)
        except ProbeError as error:
            faults.append(ValueProblem(("check",), printable(str(error))))
    if faults:
        raise ValueRefusedError(*faults)
    return Entry(forward, probe, settings)


def _listen(value: object) -> Address:
    """An end to listen on; port 0, which the server chooses, is for the caller to judge."""
    if isinstance(value, str):
        return _parsed(parse_listen, value)
    return TcpAddress(LOOPBACK, 0 if _is_zero(value) else port(value))


def _connect(value: object) -> Address:
    if isinstance(value, str):
        return _parsed(parse_target, value)
    raise mismatch('"host:port" or a path, in quotes', value)


_TABLE: Keys = {"listen": _listen, "connect": _connect, "check": text, **CHECK_KEYS}


def _is_zero(value: object) -> bool:
    return type(value) is int and value == 0


def _not_chosen_here(values: dict[str, Any]) -> list[ValueProblem]:
    """A listener on this machine has a port that its clients can know beforehand."""
    match values.get("listen"):
        case TcpAddress(port=0):
            return [ValueProblem(("listen",), "expected a port from 1 to 65535, got 0")]
    return []


def _parsed(parse: Callable[[str], T], spec: str) -> T:
    try:
        return parse(spec)
    except SpecError as error:
        raise refused(printable(str(error))) from None
