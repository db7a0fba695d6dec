"""A config file without its secrets, for a bug report. Pure.

Comments go, and so do the arguments of commands, the paths of HTTP checks, and the values of keys
that are unknown: those may be misspelt ones. Names of hosts, users and files stay.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import tomli_w

from tunnelkeeper.config.schema import DEFAULTS_KEYS, HOST_KEYS, SUPERVISOR_KEYS, TUNNEL_KEYS

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

REDACTED = "(redacted)"

COMMANDS = frozenset(
    {
        "known_hosts_command",
        "proxy_command",
        "passphrase_command",
        "password_command",
        "on_up",
        "on_down",
    }
)
"""Keys whose values are programs with arguments."""

FORWARD_KEYS = frozenset({"listen", "connect", "check", "allow_users", "password_file"})
_FORWARDS = ("local", "remote", "socks")


def redact_config(document: Mapping[str, Any]) -> str:
    """Return a document of the config file as TOML, without what may be secret."""
    redacted: dict[str, Any] = {}
    for section, table in document.items():
        match section, table:
            case ("supervisor", dict()):
                redacted[section] = _redact_table(table, SUPERVISOR_KEYS)
            case ("defaults", dict()):
                redacted[section] = _redact_table(table, DEFAULTS_KEYS)
            case (("hosts" | "tunnels"), dict()):
                keys = HOST_KEYS if section == "hosts" else TUNNEL_KEYS
                redacted[section] = {
                    name: _redact_table(each, keys) if isinstance(each, dict) else REDACTED
                    for name, each in table.items()
                }
            case _:
                redacted[section] = REDACTED
    return tomli_w.dumps(redacted)


def _redact_table(table: Mapping[str, Any], known: Collection[str]) -> dict[str, Any]:
    return {key: _redact_value(key, value, known) for key, value in table.items()}


def _redact_value(key: str, value: object, known: Collection[str]) -> object:
    if key not in known:
        return REDACTED
    if key in COMMANDS:
        return _redact_command(value)
    if key == "check" and isinstance(value, str):
        return _redact_check(value)
    if key in _FORWARDS:
        forwards = value if isinstance(value, list) else [value]
        return [
            _redact_table(each, FORWARD_KEYS | set(known)) if isinstance(each, dict) else each
            for each in forwards
        ]
    return value


def _redact_command(value: object) -> object:
    """Return the program of a command."""
    words = value.split() if isinstance(value, str) else value
    if not isinstance(words, list) or not words:
        return REDACTED
    program = words[0] if isinstance(words[0], str) else REDACTED
    hidden = [program, REDACTED] if len(words) > 1 else [program]
    return " ".join(hidden) if isinstance(value, str) else hidden


def _redact_check(value: str) -> str:
    """Return a check without the path and the user of its URL."""
    try:
        parts = urlsplit(value)
        host = parts.netloc.rpartition("@")[2]
    except ValueError:
        return REDACTED
    return f"{parts.scheme}://{host}/{REDACTED}" if parts.scheme == "http" else value
