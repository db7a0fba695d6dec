"""The relay's configuration: relay.toml, its command-line overrides, and every problem in it.

It opens no host key and no authorized_keys file.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from tunnelkeeper import paths
from tunnelkeeper.config.errors import ConfigError, mismatch, value_error
from tunnelkeeper.config.parser import WORDS, Keys, Parser, accepts, any_of, one_or_more
from tunnelkeeper.config.table_reader import read_keys, table_of, unknown_key
from tunnelkeeper.config.toml_document import parse_document, read_text
from tunnelkeeper.config.value_parsers import (
    at_least,
    byte_size,
    duration,
    flag,
    one_of,
    several,
    text,
)
from tunnelkeeper.core.configuration import MINIMUM_RSA_SIZE, Keepalive
from tunnelkeeper.core.forward_spec import SpecError, TcpAddress, parse_listen
from tunnelkeeper.core.message import Message
from tunnelkeeper.core.text import printable
from tunnelkeeper.relay import permits
from tunnelkeeper.relay.max_startups import LimitError, MaxStartups
from tunnelkeeper.relay.name_rules import OWN_USER, NamePatternError, parse_pattern
from tunnelkeeper.relay.per_source import NetBlockSize, parse_per_source_max_startups
from tunnelkeeper.relay.permits import (
    ANY_HOST,
    ANYTHING,
    HostPermit,
    NamesPermit,
    Permit,
    PermitError,
)
from tunnelkeeper.relay.policy import is_host
from tunnelkeeper.ssh.memory_budget import memory_limits

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tunnelkeeper.core.budget import Limits
    from tunnelkeeper.relay.policy import GatewayPorts

DEFAULT_PORT = 2222
_WILD = frozenset("*?")


@dataclass(frozen=True, slots=True)
class RelayLimits:
    """The [limits] table. Durations are seconds; 0: no limit.

    penalties: whether PerSourcePenalties of sshd_config(5) apply. memory, memory_per_key,
    memory_per_address: bytes; None: a default that depends on the machine.
    """

    max_startups: MaxStartups = field(default_factory=MaxStartups)
    per_source_max_startups: int = 0
    per_source_net_block_size: NetBlockSize = field(default_factory=NetBlockSize)
    login_grace: float = 30.0
    max_auth_tries: int = 6
    penalties: bool = True
    connections_per_key: int = 16
    listeners_per_connection: int = 64
    channels_per_connection: int = 4096
    memory: int | None = None
    memory_per_key: int | None = None
    memory_per_address: int | None = None
    keepalive: Keepalive = field(default_factory=Keepalive)

    def budget_limits(self) -> Limits:
        """Return the limits of what connections may hold."""
        return memory_limits(self.memory, self.memory_per_key, self.memory_per_address)


@dataclass(frozen=True, slots=True)
class RelayConfiguration:
    """The settings of relay.toml; the defaults are safe on a public machine.

    path: of the file, or empty. File names are as written: relative to relay.toml, with `~`.
    public_address: by which clients reach the relay; only `relay add` uses it.
        Port 0: that of `listen`.
    revoked_keys: a list or KRL; empty: no key is revoked.
    authorized_keys: with the tokens %u (user) and %% (percent sign) of sshd_config(5).
    required_rsa_size: bits of an RSA key that logs in, at least, as RequiredRSASize.
    unix_socket_dir: an absolute path without a trailing slash; empty: no Unix sockets.
    names: patterns of the names that clients may listen on, see `name_rules`; empty: none.
    """

    path: str = ""
    listen: tuple[TcpAddress, ...] = (TcpAddress("127.0.0.1", DEFAULT_PORT),)
    public_address: TcpAddress | None = None
    host_keys: tuple[str, ...] = ("relay_host_key",)
    authorized_keys: str = "authorized_keys"
    revoked_keys: str = ""
    gateway_ports: GatewayPorts = "no"
    unix_socket_dir: str = ""
    permit_listen: tuple[Permit, ...] = (ANYTHING,)
    permit_open: tuple[Permit, ...] = (ANYTHING,)
    names: tuple[str, ...] = OWN_USER
    strict_modes: bool = True
    required_rsa_size: int = MINIMUM_RSA_SIZE
    limits: RelayLimits = field(default_factory=RelayLimits)


@dataclass(frozen=True, slots=True)
class ConfigSource:
    """relay.toml and the command-line options that override it.

    path: of relay.toml, absolute. must_exist: True if it was named; otherwise a missing file means
    the defaults. The other fields override the file unless empty; file names are absolute.
    """

    path: Path
    must_exist: bool = True
    listen: tuple[TcpAddress, ...] = ()
    host_keys: tuple[str, ...] = ()
    authorized_keys: str = ""

    def read(self) -> RelayConfiguration:
        """Read the current configuration; file names in it are absolute.

        Raises ConfigError.
        """
        if self.must_exist or self.path.exists():
            read = load(self.path)
        else:
            read = parse("", str(self.path))
        return replace(
            read,
            listen=self.listen or read.listen,
            host_keys=self.host_keys or tuple(map(self._absolute, read.host_keys)),
            authorized_keys=self.authorized_keys or self._absolute(read.authorized_keys),
            revoked_keys=self._absolute(read.revoked_keys) if read.revoked_keys else "",
        )

    def _absolute(self, written: str) -> str:
        return str(self.path.parent / paths.expanded(written, os.environ))


def load(path: str | Path) -> RelayConfiguration:
    """Read a relay.toml.

    Raises ConfigError with every problem in it.
    """
    return parse(read_text(str(path), "--config"), str(path))


def parse(text: str, path: str) -> RelayConfiguration:
    """Parse the text of a relay.toml. path: its name in messages.

    Raises ConfigError with every problem in it.
    """
    document = parse_document(text, path)
    values, faults = read_keys(document.values, RELAY_KEYS, _unknown)
    if faults:
        raise ConfigError(document.problems(faults))
    limits = _limits(values.pop("limits", {}))
    return RelayConfiguration(path=path, limits=limits, **values)


def _limits(values: dict[str, Any]) -> RelayLimits:
    parts = {part: f"keepalive_{part}" for part in ("interval", "count_max")}
    keepalive = {part: values.pop(key) for part, key in parts.items() if key in values}
    return RelayLimits(keepalive=Keepalive(**keepalive), **values)


@accepts(WORDS)
def _listen(value: object) -> TcpAddress:
    """Read [address:]port; port 0 lets the system choose."""
    expected = '"address:port" in quotes, such as "0.0.0.0:2222"'
    if not isinstance(value, str):
        raise mismatch(expected, value)
    try:
        address = parse_listen(value)
    except SpecError as error:
        raise value_error(printable(str(error))) from None
    if isinstance(address, TcpAddress):
        return address
    raise mismatch(expected, value, "the relay listens on TCP only")


@accepts({"type": "string"}, is_exact=False)
def _public_address(value: object) -> TcpAddress | None:
    """Read address[:port] of the relay, as clients write it; empty: None."""
    if value == "":
        return None
    if not isinstance(value, str):
        raise mismatch('"address:port" in quotes, such as "relay.example.com:2222"', value)
    try:
        return parse_public_address(value)
    except SpecError as error:
        raise value_error(printable(str(error))) from None


def parse_public_address(text: str) -> TcpAddress:
    """Parse host or host:port; port 0: that of `listen`.

    Raises SpecError.
    """
    is_bare = ":" not in text or (text.startswith("[") and text.endswith("]"))
    address = parse_listen(f"{text}:0" if is_bare else text)
    if not isinstance(address, TcpAddress) or not is_host(address.host):
        raise SpecError(f"expected host:port, such as relay.example.com:2222, got '{text}'")
    return address


def _one_or_more(read: Parser[Any], what: str) -> Parser[tuple[Any, ...]]:
    @accepts(one_or_more(read.schema, is_required=True), is_exact=read.is_exact)
    def read_all(value: object) -> tuple[Any, ...]:
        if value == []:
            hint = "leave the key out for the default"
            raise value_error(f"expected {what}, got an empty list", hint)
        return several(read)(value)

    return read_all


@accepts(text.schema, is_exact=False)
def _authorized_keys(value: object) -> str:
    """Read a path with the tokens %u (user) and %% (percent sign), see sshd_config(5), TOKENS."""
    path = text(value)
    if "%" in path.replace("%%", "").replace("%u", ""):
        raise mismatch("a path with no other token than %u and %%", value)
    return path


@accepts(text.schema)
def _revoked_keys(value: object) -> str:
    """Read a path, or `none` as RevokedKeys of sshd_config(5) has it."""
    path = text(value)
    return "" if path == "none" else path


@accepts({"type": "string", "pattern": "^(/|$)"}, is_exact=False)
def _unix_socket_dir(value: object) -> str:
    if value == "":
        return ""
    folder = text(value)
    if not folder.startswith("/") or {"..", "."}.intersection(folder.split("/")):
        raise mismatch("an absolute path without '..'", value)
    if not (folder := folder.rstrip("/")):
        raise value_error(
            "'/' would open every socket of this machine", "name a folder for the relay's sockets"
        )
    return folder


def _permits(parse_one: Callable[[str], Permit]) -> Parser[tuple[Permit, ...]]:
    """Return a reader of permits in the syntax of sshd_config(5); `any` and `none` stand alone."""

    @accepts(WORDS)
    def read_one(value: object) -> Permit:
        if not isinstance(value, str):
            raise mismatch('"host:port" in quotes', value)
        if value in {"any", "none"}:
            raise value_error(f"{value!r} stands alone, without other permits")
        try:
            permit = parse_one(value)
        except PermitError as error:
            raise value_error(printable(str(error))) from None
        return permit

    @accepts(one_or_more(WORDS))
    def read(value: object) -> tuple[Permit, ...]:
        if value in ("any", ["any"]):
            return (ANYTHING,)
        if value in ("none", ["none"]):
            return ()
        return several(read_one)(value)

    return read


def _parse_open(written: str) -> Permit:
    """Read a permit as sshd does, a network, or `names`.

    It refuses host patterns, which would silently match nothing.
    """
    if written == permits.NAMES:
        return NamesPermit()
    permit = permits.parse_network(written) or permits.parse_open(written)
    if isinstance(permit, HostPermit) and permit.host != ANY_HOST and _WILD & set(permit.host):
        raise PermitError(f"expected a host to open or '*', not a pattern: got '{written}'")
    return permit


@accepts(any_of({"type": "boolean"}, one_or_more(WORDS)))
def _names(value: object) -> tuple[str, ...]:
    """Read the rule for names: patterns, true for the default, false for no names."""
    if isinstance(value, bool):
        return OWN_USER if value else ()
    if isinstance(value, str) and value.lower() in {"true", "false"}:
        raise mismatch("patterns, true or false", value, f"write {value.lower()} without quotes")
    return several(_name_pattern)(value)


@accepts(WORDS)
def _name_pattern(value: object) -> str:
    if not isinstance(value, str):
        raise mismatch("""a pattern of names in quotes, such as "box-*", or true or false""", value)
    try:
        return parse_pattern(value)
    except NamePatternError as error:
        raise mismatch(str(error), value) from None


def _limit(
    expected: str, parse_one: Callable[[str], Any], pattern: str, maximum: int
) -> Parser[Any]:
    """Return a reader of a limit in the syntax of sshd_config(5), or of a number.

    pattern: a regular expression that texts match. maximum: of a number.
    """

    @accepts(
        any_of(
            {"type": "integer", "minimum": 0, "maximum": maximum},
            {"type": "string", "pattern": f"^({pattern})$"},
        ),
        is_exact=False,
    )
    def read(value: object) -> Any:
        written = str(value) if type(value) is int else value
        if not isinstance(written, str):
            raise mismatch(expected, value)
        try:
            return parse_one(written)
        except LimitError as error:
            raise value_error(str(error)) from None

    return read


LIMIT_KEYS: Keys = {
    "max_startups": _limit(
        '"begin:rate:full" in quotes',
        MaxStartups.parse,
        "[0-9]{1,6}(:[0-9]{1,6}:[0-9]{1,6})?",
        999_999,
    ),
    "per_source_max_startups": _limit(
        '"none" or a number', parse_per_source_max_startups, "none|[0-9]{1,6}", 999_999
    ),
    "per_source_net_block_size": _limit(
        '"ipv4:ipv6" in quotes', NetBlockSize.parse, "[0-9]{1,3}(:[0-9]{1,3})?", 32
    ),
    "login_grace": duration,
    "max_auth_tries": at_least(0),
    "penalties": flag,
    "connections_per_key": at_least(0),
    "listeners_per_connection": at_least(0),
    "channels_per_connection": at_least(0),
    "memory": byte_size,
    "memory_per_key": byte_size,
    "memory_per_address": byte_size,
    "keepalive_interval": duration,
    "keepalive_count_max": at_least(1, "to send none: keepalive_interval = 0"),
}

RELAY_KEYS: Keys = {
    "listen": _one_or_more(_listen, "an address to listen on"),
    "public_address": _public_address,
    "host_keys": _one_or_more(text, "a file"),
    "authorized_keys": _authorized_keys,
    "revoked_keys": _revoked_keys,
    "gateway_ports": one_of("no", "yes", "clientspecified"),
    "unix_socket_dir": _unix_socket_dir,
    "permit_listen": _permits(permits.parse_listen),
    "permit_open": _permits(_parse_open),
    "names": _names,
    "strict_modes": flag,
    "required_rsa_size": at_least(MINIMUM_RSA_SIZE, "the limit can only be raised"),
    "limits": table_of(LIMIT_KEYS),
}


def _unknown(key: str, _value: object) -> Message:
    """Return the message for an unknown top-level key."""
    if key in LIMIT_KEYS:
        return Message("unknown key", "it belongs in the table [limits]")
    return unknown_key(key, RELAY_KEYS)
