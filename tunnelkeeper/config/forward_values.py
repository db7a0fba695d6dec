"""Parsers for `local`, `remote` and `socks`: specs in ssh's syntax, or tables of their ends.

core.forward_spec has the grammar of specs and core.probes that of checks. This adds TOML only.
"""

from __future__ import annotations

import os
import pwd
import socket
from typing import TYPE_CHECKING, Any, TypeVar

from msgspec import Struct, field

from tunnelkeeper.config.errors import InvalidValueError, ValueProblem, mismatch, value_error
from tunnelkeeper.config.parser import (
    WORDS,
    Keys,
    Parser,
    Schema,
    accepts,
    any_of,
    one_or_more,
    table_schema,
)
from tunnelkeeper.config.table_reader import read_keys
from tunnelkeeper.config.value_parsers import at_least, port, positive_duration, several, text
from tunnelkeeper.core.forward_spec import (
    LOOPBACK,
    Address,
    Forward,
    LocalForward,
    RemoteForward,
    RemoteSocksForward,
    Services,
    SocksForward,
    SpecError,
    TcpAddress,
    UnixAddress,
    parse_listen,
    parse_local,
    parse_remote,
    parse_socks,
    parse_target,
    socket_paths,
)
from tunnelkeeper.core.probes import Probe, ProbeError, parse_probe
from tunnelkeeper.core.text import printable
from tunnelkeeper.core.token_expansion import (
    PATH_TOKENS,
    TokenError,
    expand_variables,
    token_letters,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

T = TypeVar("T")

CHECK_KEYS: Keys = {
    "check_interval": positive_duration,
    "check_timeout": positive_duration,
    "check_failures": at_least(1),
}
"""Settings of checks, in the table of a forward, of a tunnel, or in [defaults]."""


class Entry(Struct, frozen=True):
    """A forward as the file has it. settings: its own CHECK_KEYS."""

    forward: Forward
    probe: Probe | None = None
    settings: Mapping[str, Any] = field(default_factory=dict)


@accepts(any_of(WORDS, port.schema))
def _listen(value: object) -> Address:
    """Parse a listen address. The caller decides whether port 0 is valid."""
    if isinstance(value, str):
        return _parsed(parse_listen, value)
    return TcpAddress(LOOPBACK, 0 if _is_zero(value) else port(value))


@accepts(WORDS)
def _connect(value: object) -> Address:
    if isinstance(value, str):
        return _parsed(parse_target, value)
    raise mismatch('"host:port" or a path, in quotes', value)


@accepts(any_of(WORDS, {"type": "integer", "minimum": 0, "maximum": 2**32 - 1}))
def _user(value: object) -> int:
    """Parse the name or id of a user of this machine; return the id."""
    if type(value) is int and 0 <= value < 1 << 32:
        return value
    if not isinstance(value, str):
        raise mismatch("a user name in quotes, or a user id", value)
    try:
        return pwd.getpwnam(value).pw_uid
    except (KeyError, ValueError):  # ValueError: a NUL or a lone surrogate
        raise value_error(f"this machine has no user {printable(repr(value))}") from None


@accepts(one_or_more(_user.schema, is_required=True))
def _users(value: object) -> tuple[int, ...]:
    users = several(_user)(value)
    if not users:
        raise value_error(
            "expected a user, got an empty list", "leave the key out to allow every user"
        )
    return users


@accepts({"type": "string", "pattern": "^[/~]"})
def _own_path(value: object) -> str:
    """Parse a path that does not depend on where the program was started."""
    path = text(value)
    if not path.startswith(("/", "~")):
        raise mismatch("a path that begins with / or ~", value)
    return path


_TABLE: Keys = {
    "listen": _listen,
    "connect": _connect,
    "check": text,
    "allow_users": _users,
    "password_file": _own_path,
    **CHECK_KEYS,
}
_ANY_PORT: Schema = any_of(WORDS, {"type": "integer", "minimum": 0, "maximum": 65535})
_FORBIDDEN = {
    "local": ("password_file",),
    "remote": ("allow_users", "password_file"),
    "socks": ("connect",),
}
"""The keys of _TABLE that each kind of forward cannot have."""


def _table(kind: str, *required: str) -> Schema:
    """Return the schema of the table of a kind of forward."""
    keys = {key: parser for key, parser in _TABLE.items() if key not in _FORBIDDEN[kind]}
    if kind == "remote":  # the server may choose the port
        keys["listen"] = Parser(_listen.read, _ANY_PORT)
    return table_schema(keys, required, dict.fromkeys(CHECK_KEYS, "check"))


@accepts(any_of(WORDS, _table("local", "listen", "connect")))
def _local(value: object) -> Entry:
    if isinstance(value, str):
        return Entry(_parsed(parse_local, value))
    if not isinstance(value, dict):
        raise mismatch('"[bind_address:]port:host:hostport" in quotes', value)
    values, problems = _read(value)
    problems += _port_zero_problems(values)
    if "connect" not in value:
        problems.append(
            ValueProblem((), "'connect' is missing: the target of the clients of 'listen'")
        )
    problems += _other_kinds_problems(values, ("password_file",), "only `socks` has passwords")
    users = values.get("allow_users", ())
    forward = LocalForward(_end(values, "listen"), _end(values, "connect"), users)
    return _entry(forward, value, values, problems)


@accepts(any_of(WORDS, _table("remote", "listen")))
def _remote(value: object) -> Entry:
    if isinstance(value, str):
        return Entry(_parsed(parse_remote, value))
    if not isinstance(value, dict):
        expected = '"[bind_address:]port:host:hostport" or, for SOCKS, "[bind_address:]port"'
        raise mismatch(f"{expected} in quotes", value)
    values, problems = _read(value)
    advice = "the server decides who may connect to a port that listens there"
    problems += _other_kinds_problems(values, ("allow_users", "password_file"), advice)
    listen = _end(values, "listen")
    if "connect" not in value:
        return _entry(RemoteSocksForward(listen), value, values, problems)
    return _entry(RemoteForward(listen, _end(values, "connect")), value, values, problems)


@accepts(any_of(WORDS, port.schema, _table("socks", "listen")))
def _socks(value: object) -> Entry:
    if isinstance(value, str):
        return Entry(_parsed(parse_socks, value))
    if not isinstance(value, dict):
        return Entry(SocksForward(TcpAddress(LOOPBACK, port(value))))
    values, problems = _read(value)
    problems += _port_zero_problems(values)
    if "connect" in values:
        message = "not allowed here: each client of a SOCKS proxy names its own target"
        problems.append(ValueProblem(("connect",), message, "leave it out"))
    limits = {key: values[key] for key in ("allow_users", "password_file") if key in values}
    return _entry(SocksForward(_end(values, "listen"), **limits), value, values, problems)


local = several(_local)
"""Parses forwards that listen on this machine (ssh -L)."""

remote = several(_remote)
"""Parses forwards that listen on the server (ssh -R)."""

socks = several(_socks)
"""Parses SOCKS proxies that listen on this machine (ssh -D)."""


def _read(table: dict[str, object]) -> tuple[dict[str, Any], list[ValueProblem]]:
    """Return the values of a table that can be read, and the problems of the others."""
    values, problems = read_keys(table, _TABLE)
    if "listen" not in table:
        problems.append(ValueProblem((), "'listen' is missing: [bind_address:]port or a path"))
    return values, problems


def _end(values: dict[str, Any], key: str) -> Address:
    """Return one end of a forward, or a placeholder if it could not be read.

    The problem is recorded already. With the placeholder the check, which depends on the kind of
    the forward, can still be validated.
    """
    end: Address = values.get(key, TcpAddress(LOOPBACK, 1))
    return end


def _entry(
    forward: Forward, table: dict[str, object], values: dict[str, Any], problems: list[ValueProblem]
) -> Entry:
    """Return a forward with its check. Raise if its table has any problem."""
    settings = {key: values[key] for key in CHECK_KEYS if key in values}
    if "check" not in table:
        problems += [ValueProblem((key,), "has no effect without 'check'") for key in settings]
    probe = None
    if "check" in values:
        try:
            probe = parse_probe(values["check"], forward)
        except ProbeError as error:
            problems.append(ValueProblem(("check",), printable(str(error))))
    if problems:
        raise InvalidValueError(*problems)
    return Entry(forward, probe, settings)


def _other_kinds_problems(
    values: dict[str, Any], keys: tuple[str, ...], advice: str
) -> list[ValueProblem]:
    """Return a problem for each key that another kind of forward has."""
    return [ValueProblem((key,), f"not allowed here: {advice}") for key in keys if key in values]


def _is_zero(value: object) -> bool:
    return type(value) is int and value == 0


def _port_zero_problems(values: dict[str, Any]) -> list[ValueProblem]:
    """Return a problem for port 0: clients of a local port have to know its number."""
    match values.get("listen"):
        case TcpAddress(port=0):
            return [ValueProblem(("listen",), "expected a port from 1 to 65535, got 0")]
    return []


def _parsed(parse: Callable[[str, Services], T], spec: str) -> T:
    """Parse a spec. Like ssh, expand ${VARIABLES} first; percent tokens of paths come later."""
    try:
        parsed = parse(expand_variables(spec, os.environ), _service_port)
        for path in _paths(parsed):
            token_letters(path, PATH_TOKENS)
    except (SpecError, TokenError) as error:
        raise value_error(printable(str(error))) from None
    return parsed


def _service_port(name: str) -> int | None:
    """Return the port of a service of services(5)."""
    try:
        return socket.getservbyname(name, "tcp")
    except (OSError, ValueError):  # ValueError: a NUL or a lone surrogate
        return None


def _paths(parsed: object) -> tuple[str, ...]:
    match parsed:
        case UnixAddress(path=path):
            return (path,)
        case LocalForward() | RemoteForward() | SocksForward() | RemoteSocksForward():
            return socket_paths(parsed)
    return ()
