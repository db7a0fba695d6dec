"""Every key of the config file: the tables that may have it, and the parser of its value.

A key is named after the field it fills (core.configuration): a new key is a line here and a field
there. config.validation checks keys against each other.
"""

from __future__ import annotations

from tunnelkeeper.config import forward_values, host_values
from tunnelkeeper.config.errors import mismatch
from tunnelkeeper.config.parser import Keys, accepts, any_of
from tunnelkeeper.config.table_reader import table_of, unknown_key
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
from tunnelkeeper.core.configuration import MINIMUM_RSA_SIZE
from tunnelkeeper.core.message import Message
from tunnelkeeper.core.permit_remote_open import parse_permits
from tunnelkeeper.core.ssh_values import (
    parse_bind_mask,
    parse_channel_timeouts,
    parse_ip_qos,
    parse_rekey_limit,
)


@accepts(any_of(text.schema, {"const": False}))
def ssh_config(value: object) -> str | bool:
    """Parse a path or false."""
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
    "system_known_hosts": several(text),
    "known_hosts_command": text,
    "hash_known_hosts": flag,
    "check_host_ip": flag,
    "host_key_alias": text,
    "host_key_policy": host_values.host_key_policy,
    "address_family": one_of("any", "inet", "inet6"),
    "bind_address": text,
    "bind_interface": text,
    "compression": flag,
    "ciphers": algorithms,
    "macs": algorithms,
    "kex_algorithms": algorithms,
    "host_key_algorithms": algorithms,
    "pubkey_accepted_algorithms": algorithms,
    "ca_signature_algorithms": algorithms,
    "required_rsa_size": at_least(MINIMUM_RSA_SIZE, "the limit can only be raised"),
    "revoked_host_keys": several(text),
    "permit_remote_open": host_values.as_in_ssh(parse_permits),
    "rekey_limit": host_values.as_in_ssh(parse_rekey_limit),
    "ip_qos": host_values.as_in_ssh(parse_ip_qos),
    "tag": text,
    "channel_timeout": host_values.as_in_ssh(parse_channel_timeouts),
    "stream_local_bind_unlink": flag,
    "stream_local_bind_mask": host_values.as_in_ssh(parse_bind_mask),
    "proxy_command": text,
    "connect_timeout": positive_duration,
    "keepalive_interval": duration,
    "keepalive_count_max": at_least(1, "to send none: keepalive_interval = 0"),
    "tcp_keepalive": flag,
    "batch_mode": flag,
    "number_of_password_prompts": at_least(0),
    "preferred_authentications": host_values.preferred_authentications,
    "pubkey_authentication": flag,
    "password_authentication": flag,
    "kbd_interactive_authentication": flag,
    "add_keys_to_agent": host_values.add_keys_to_agent,
    "passphrase_command": hook_command,
    "password_command": hook_command,
    "keyring": flag,
    "update_host_keys": host_values.update_host_keys,
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
    "host": host_values.host_reference,
    "local": forward_values.local,
    "remote": forward_values.remote,
    "socks": forward_values.socks,
}
"""Keys that identify one tunnel, so that [defaults] cannot have them."""

DEFAULTS_KEYS: Keys = {**HOST_KEYS, **POLICY_KEYS}
TUNNEL_KEYS: Keys = {**OWN_KEYS, **HOST_KEYS, **POLICY_KEYS}

SSH_NAMES = {
    "certificatefile": "certificate_files",
    "connectionattempts": "max_attempts",
    "dynamicforward": "socks",
    "globalknownhostsfile": "system_known_hosts",
    "identityfile": "identity_files",
    "localforward": "local",
    "proxyjump": "jump",
    "remoteforward": "remote",
    "serveralivecountmax": "keepalive_count_max",
    "serveraliveinterval": "keepalive_interval",
    "stricthostkeychecking": "host_key_policy",
    "userknownhostsfile": "known_hosts",
}
"""Keywords of ssh_config(5) whose counterpart cannot be guessed by spelling."""


def unknown_in_host(key: str, value: object) -> Message:
    """Return the message for an unknown key of [hosts.NAME]."""
    if key in OWN_KEYS or key in POLICY_KEYS:
        return Message("a key of a tunnel, not of a host", "write it in [tunnels.NAME]")
    return _unknown(key, value, HOST_KEYS, "hosts")


def unknown_in_defaults(key: str, value: object) -> Message:
    """Return the message for an unknown key of [defaults]."""
    if key in OWN_KEYS:
        return Message(
            "not allowed in [defaults]: it belongs to one tunnel", "write it in [tunnels.NAME]"
        )
    return _unknown(key, value, DEFAULTS_KEYS, None)


def unknown_in_tunnel(key: str, value: object) -> Message:
    """Return the message for an unknown key of [tunnels.NAME]."""
    if key == "check":
        return Message(
            "belongs to one forward", "write it in its table: { listen = ..., check = ... }"
        )
    return _unknown(key, value, TUNNEL_KEYS, "tunnels")


def _unknown(key: str, value: object, keys: Keys, family: str | None) -> Message:
    meant = SSH_NAMES.get(key.lower().replace("_", "").replace("-", ""))
    if meant in keys:
        return Message("unknown key", f"it is called {meant!r} here")
    message = unknown_key(key, keys)
    if family is not None and isinstance(value, dict) and not message.hint:
        hint = f'write a name with dots in quotes, as in [{family}."a.example.org"]'
        return Message("unknown key", hint)
    return message
