"""Every key of the config file, once: in which table it may stand, and how its value is read.

A key is named after the field it fills (core.configuration): a new key is a line here and a field
there. What keys mean together is checked elsewhere.
"""

from __future__ import annotations

from tunnelkeeper.config import forward_values, host_values
from tunnelkeeper.config.errors import mismatch
from tunnelkeeper.config.table_reader import Keys, table_of, unknown_key
from tunnelkeeper.config.value_parsers import (
    algorithms,
    at_least,
    between,
    duration,
    flag,
    hook_command,
    name,
    one_of,
    ports,
    positive_duration,
    several,
    text,
)


def ssh_config(value: object) -> str | bool:
    """A path, or false."""
    if value is False:
        return False
    if isinstance(value, str):
        return text(value)
    raise mismatch("a path in quotes, or false to read none", value)


SUPERVISOR_KEYS: Keys = {
    "ssh_config": ssh_config,
    "log_level": one_of("debug", "info", "warning", "error"),
    "log_format": one_of("text", "json"),
}

HOST_KEYS: Keys = {
    "hostname": host_values.hostname,
    "port": ports,
    "user": host_values.user,
    "jump": host_values.jump,
    "identity_files": several(text),
    "certificate_files": several(text),
    "identities_only": flag,
    "identity_agent": text,
    "known_hosts": several(text),
    "host_key_alias": text,
    "host_key_policy": host_values.host_key_policy,
    "address_family": one_of("any", "inet", "inet6"),
    "bind_address": text,
    "compression": flag,
    "ciphers": algorithms,
    "macs": algorithms,
    "kex_algorithms": algorithms,
    "host_key_algorithms": algorithms,
    "proxy_command": text,
    "connect_timeout": positive_duration,
    "keepalive_interval": duration,
    "keepalive_count_max": at_least(1, "to send none: keepalive_interval = 0"),
    "tcp_keepalive": flag,
}

BACKOFF_KEYS: Keys = {
    "initial": positive_duration,
    "factor": between(1, 100),
    "max": positive_duration,
    "jitter": between(0, 1),
}

POLICY_KEYS: Keys = {
    "autostart": flag,
    "groups": several(name),
    "gate_time": duration,
    "backoff": table_of(BACKOFF_KEYS),
    "max_attempts": at_least(0),
    "max_lifetime": duration,
    "drain_timeout": duration,
    "hold_timeout": duration,
    "exit_on_forward_failure": flag,
    **forward_values.CHECK_KEYS,
    "on_up": hook_command,
    "on_down": hook_command,
    "hook_timeout": positive_duration,
}

OWN_KEYS: Keys = {
    "host": host_values.reference,
    "local": forward_values.local,
    "remote": forward_values.remote,
    "socks": forward_values.socks,
}
"""What makes a tunnel this one and no other, so that no default can say it."""

DEFAULTS_KEYS: Keys = {**HOST_KEYS, **POLICY_KEYS}
TUNNEL_KEYS: Keys = {**OWN_KEYS, **HOST_KEYS, **POLICY_KEYS}

SSH_NAMES = {
    "certificatefile": "certificate_files",
    "connectionattempts": "max_attempts",
    "dynamicforward": "socks",
    "globalknownhostsfile": "known_hosts",
    "identityfile": "identity_files",
    "localforward": "local",
    "proxyjump": "jump",
    "remoteforward": "remote",
    "serveralivecountmax": "keepalive_count_max",
    "serveraliveinterval": "keepalive_interval",
    "stricthostkeychecking": "host_key_policy",
    "userknownhostsfile": "known_hosts",
}
"""ssh_config(5)'s words that are too far from ours for a guess by spelling."""


def unknown_in_host(key: str, value: object) -> str:
    """What to say of a key of [hosts.NAME] that does not exist there."""
    if key in OWN_KEYS or key in POLICY_KEYS:
        return "a key of a tunnel, not of a host"
    return _unknown(key, value, HOST_KEYS, "hosts")


def unknown_in_defaults(key: str, value: object) -> str:
    """What to say of a key of [defaults] that does not exist there."""
    if key in OWN_KEYS:
        return "not allowed in [defaults]: it belongs to one tunnel; write it in [tunnels.NAME]"
    return _unknown(key, value, DEFAULTS_KEYS, None)


def unknown_in_tunnel(key: str, value: object) -> str:
    """What to say of a key of [tunnels.NAME] that does not exist."""
    if key == "check":
        return "belongs to one forward, in its table: { listen = ..., check = ... }"
    return _unknown(key, value, TUNNEL_KEYS, "tunnels")


def _unknown(key: str, value: object, keys: Keys, family: str | None) -> str:
    meant = SSH_NAMES.get(key.lower().replace("_", "").replace("-", ""))
    if meant in keys:
        return f"unknown key; it is called {meant!r} here"
    message = unknown_key(key, keys)
    if family is not None and isinstance(value, dict) and message == "unknown key":
        return f'{message}; a name with dots stands in quotes, as in [{family}."a.example.org"]'
    return message
