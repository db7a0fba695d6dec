"""Resolved settings as TOML, with the origin of each value in a comment, and as JSON values."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tunnelkeeper.config.toml_values import format_key, format_toml
from tunnelkeeper.core.text import printable

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tunnelkeeper.core.resolved_settings import ResolvedTunnel, Setting

_WIDEST = 56
"""Columns of a value beyond which its comment is not aligned with the others."""

_PATH_LIMIT = 4096


def format_resolved(tunnel: ResolvedTunnel) -> str:
    """Return a tunnel and its jump hosts as TOML. The text ends with a newline."""
    lines = [
        f"# The tunnel {tunnel.name} as it is in effect, and where each value comes from.",
        f"# The file is {printable(tunnel.file, _PATH_LIMIT)}",
        "",
        f"[tunnels.{format_key(tunnel.name)}]",
        *_format_settings(tunnel.settings),
    ]
    names: set[str] = set()
    for number, host in enumerate(tunnel.jump_hosts, 1):
        name = host.name if host.alias in names else host.alias
        names.add(name)
        lines += ["", f"# Jump host {number}", f"[hosts.{format_key(name)}]"]
        lines += _format_settings(host.settings)
    return "\n".join([*lines, ""])


def to_json_values(tunnel: ResolvedTunnel) -> dict[str, object]:
    """Return a tunnel as objects that JSON can hold."""
    return {
        "name": tunnel.name,
        "settings": _as_objects(tunnel.settings),
        "jump_hosts": [
            {"name": host.name, "settings": _as_objects(host.settings)}
            for host in tunnel.jump_hosts
        ],
    }


def _format_settings(settings: Iterable[Setting]) -> list[str]:
    settings = list(settings)
    in_host = {each.origin for each in settings if each.key == "host"}
    pairs = []
    for each in settings:
        # The loader refuses a user or port beside a host that names one.
        sign = "# " if each.key in {"user", "port"} and each.origin in in_host else ""
        pairs.append((f"{sign}{each.key} = {format_toml(each.value)}", str(each.origin)))
    width = max((len(text) for text, _ in pairs if len(text) <= _WIDEST), default=0)
    return [f"{text:<{width}}  # {printable(origin)}" for text, origin in pairs]


def _as_objects(settings: Iterable[Setting]) -> dict[str, object]:
    return {
        each.key: {
            "value": each.value,
            "origin": {
                "kind": each.origin.kind,
                "file": each.origin.file,
                "line": each.origin.line,
            },
        }
        for each in settings
    }
