"""`tunnelkeeper show`: the settings of a tunnel that are in effect, with their origins.

It asks ssh_config about every host of the tunnel, and connects to nothing.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

from msgspec import structs

from tunnelkeeper.config import load_document
from tunnelkeeper.config.ad_hoc import resolve_tunnel
from tunnelkeeper.config.schema import BACKOFF_KEYS, HOST_KEYS, OWN_KEYS, POLICY_KEYS, SSH_NAMES
from tunnelkeeper.core.host_spec import parse_host_spec
from tunnelkeeper.core.resolved_settings import (
    DEFAULT,
    SSH_CONFIG,
    Origin,
    ResolvedHost,
    ResolvedTunnel,
    Setting,
)
from tunnelkeeper.net.process_group import run_with_children
from tunnelkeeper.sshconfig import SshConfigError
from tunnelkeeper.sshconfig.resolve import LookupResult, resolve
from tunnelkeeper.tunnel.context import lookup_for

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from tunnelkeeper.config.errors import KeyPath
    from tunnelkeeper.config.toml_document import Document
    from tunnelkeeper.core.configuration import Configuration, Host, Tunnel

_KEYWORDS = {key: keyword for keyword, key in SSH_NAMES.items()}
"""Keywords of ssh_config that are not the key without its underscores."""

_ATTRIBUTES = {"port": "ports", "known_hosts": "user_known_hosts"}
"""Fields of a Host that are not called as the key."""

_AS_WRITTEN = frozenset(
    {
        "known_hosts_command",
        "permit_remote_open",
        "rekey_limit",
        "ip_qos",
        "channel_timeout",
        "stream_local_bind_mask",
        "tag",
    }
)
"""Keys whose value in a Host is parsed. They are shown as the file or ssh_config has them."""


class UnknownTunnelError(Exception):
    """The file has no such tunnel. names: those that it has."""

    def __init__(self, name: str, names: Iterable[str]) -> None:
        super().__init__(name)
        self.names = tuple(names)


class LookupFailedError(Exception):
    """A host of the tunnel cannot be looked up. The text has the reason, hint what to do."""

    def __init__(self, message: str, hint: str) -> None:
        super().__init__(message)
        self.hint = hint


def show(config_path: str, name: str, table: Mapping[str, object] | None = None) -> ResolvedTunnel:
    """Return the settings of a tunnel.

    table: that of an ad-hoc tunnel, to which the tables of the file apply.
    Raises ConfigError, UnknownTunnelError, LookupFailedError.
    """
    configuration, _, document = load_document(config_path)
    if table is not None:
        tunnel, _ = resolve_tunnel(name, table, configuration)
        configuration = replace(configuration, tunnels={name: tunnel})
        document = structs.replace(document, values={**document.values, "tunnels": {name: table}})
    if name not in configuration.tunnels:
        raise UnknownTunnelError(name, configuration.tunnels)
    tunnel = configuration.tunnels[name]
    try:
        results = run_with_children(_look_up(configuration, tunnel))
        hosts = [resolve(result) for result in results]
    except SshConfigError as error:
        raise LookupFailedError(error.message, error.hint) from error
    origins = _Origins(document, tunnel, is_ad_hoc=table is not None)
    jump_names = [result.name for result in results[:-1]]
    own = [*origins.of_values(OWN_KEYS)]
    *jumps, final = zip(results, hosts, strict=True)
    return ResolvedTunnel(
        name=name,
        file=document.path,
        settings=(
            *own,
            *_host_settings(origins, *final, jump_names),
            *_policies(origins, tunnel),
        ),
        jump_hosts=tuple(
            ResolvedHost(
                result.name, result.original_host, tuple(_host_settings(origins, result, host, []))
            )
            for result, host in jumps
        ),
    )


async def _look_up(configuration: Configuration, tunnel: Tunnel) -> tuple[LookupResult, ...]:
    return await lookup_for(configuration).find_results(tunnel)


@dataclass(frozen=True, slots=True)
class _Origins:
    """The places of the settings of a tunnel in its file."""

    document: Document
    tunnel: Tunnel
    is_ad_hoc: bool

    def raw(self, at: KeyPath) -> Any:
        """Return the value at a key path as the file has it, or None."""
        value: Any = self.document.values
        for part in at:
            value = value.get(part) if isinstance(value, dict) else None
        return value

    def at(self, key_path: KeyPath) -> Origin:
        """Return a place in the file, or on the command line that opened the tunnel."""
        if self.is_ad_hoc and key_path[0] == "tunnels":
            return Origin("command_line", key=str(key_path[-1]))
        return Origin("file", self.document.path, self.document.lines.get(key_path))

    def of_values(self, keys: Iterable[str]) -> Iterator[Setting]:
        """Yield the keys of the tunnel's own table."""
        for key in keys:
            at = ("tunnels", self.tunnel.name, key)
            if (value := self.raw(at)) is not None:
                yield Setting(key, value, self.at(at))

    def first(self, tables: Iterable[KeyPath], key: str) -> KeyPath | None:
        """Return the path of a key in the first table that has it."""
        return next(
            ((*table, key) for table in tables if self.raw((*table, key)) is not None), None
        )

    def of_host_key(self, result: LookupResult, key: str) -> KeyPath | None:
        """Return where the file sets a key of a host, or None. A host can name user and port."""
        spec = parse_host_spec(result.name)
        tables: list[KeyPath] = [("hosts", spec.host), ("defaults",)]
        is_final = result.name == self.tunnel.host
        if is_final and (own := self.first([("tunnels", self.tunnel.name)], key)):
            return own
        if getattr(spec, key, None) is not None and key in {"user", "port"}:
            where = "host" if is_final else "jump"
            found = self.first([("tunnels", self.tunnel.name), *tables], where)
            return found or ("tunnels", self.tunnel.name, where)
        return self.first(tables, key)


def _host_settings(
    origins: _Origins, result: LookupResult, host: Host, jump_names: list[str]
) -> Iterator[Setting]:
    """Yield the settings of a host. jump_names: the hosts on the way to it."""
    for key in HOST_KEYS:
        keyword = _KEYWORDS.get(key, key.replace("_", ""))
        found = origins.of_host_key(result, key)
        is_set = getattr(result.options, key) is not None
        raw = origins.raw(found) if found is not None and found[-1] == key else None
        if key == "jump":
            value: object = jump_names
        elif key in _AS_WRITTEN:
            value = raw if is_set else " ".join(result.answer.get(keyword, []))
        else:
            value = _field(host, key)
        if is_set and found is not None:
            origin = origins.at(found)
            value = raw if value in (None, [], "") else value
        elif _is_from_ssh_config(result, key, keyword):
            origin = SSH_CONFIG
        else:
            origin = DEFAULT
            value = None if key in _AS_WRITTEN else value
        if value not in (None, [], ""):
            yield Setting(key, value, origin)
        elif is_set and raw is not None:
            yield Setting(key, raw, origin)


def _is_from_ssh_config(result: LookupResult, key: str, keyword: str) -> bool:
    """Return whether ssh_config sets a keyword for a host."""
    values = result.answer.get(keyword)
    if key == "hostname":
        return values is not None and values != [result.original_host.lower()]
    return values is not None and values != result.default_answer.get(keyword)


def _field(host: Host, key: str) -> object:
    """Return the value of a key in a Host, as TOML has it."""
    match key:
        case "keepalive_interval":
            return host.keepalive.interval
        case "keepalive_count_max":
            return host.keepalive.count_max
    value = getattr(host, _ATTRIBUTES.get(key, key), None)
    if isinstance(value, tuple):
        listed = list(value)
        return listed[0] if key == "port" and len(listed) == 1 else listed
    return value


def _policies(origins: _Origins, tunnel: Tunnel) -> Iterator[Setting]:
    """Yield the keys that a tunnel has besides those of its host."""
    tables: tuple[KeyPath, ...] = (("tunnels", tunnel.name), ("defaults",))
    for key in POLICY_KEYS:
        if key == "backoff":
            values = asdict(tunnel.backoff)
            for inner in BACKOFF_KEYS:
                at = origins.first([(*table, key) for table in tables], inner)
                origin = origins.at(at) if at is not None else DEFAULT
                yield Setting(f"{key}.{inner}", values[inner], origin)
            continue
        at = origins.first(tables, key)
        if at is not None:
            yield Setting(key, origins.raw(at), origins.at(at))
        elif (value := getattr(tunnel, key)) not in ((), None):
            yield Setting(key, value, DEFAULT)
