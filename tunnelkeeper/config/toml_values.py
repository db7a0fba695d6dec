"""Values and tables as TOML text, each value on one line. It validates nothing."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

_BARE_KEY = re.compile(r"[A-Za-z0-9_-]+", re.ASCII)  # TOML 1.0, "Keys"


def format_toml(value: object) -> str:
    """Return a value in TOML syntax: a text, a number, true or false, a list or an inline table."""
    match value:
        case bool():
            return "true" if value else "false"
        case str():
            return _quoted(value)
        case list() | tuple():
            return f"[{', '.join(map(format_toml, value))}]"
        case dict():
            pairs = (f"{format_key(key)} = {format_toml(each)}" for key, each in value.items())
            return f"{{ {', '.join(pairs)} }}" if value else "{}"
        case float() if value.is_integer():
            return str(int(value))
    return str(value)


def format_key(key: str) -> str:
    """Return a part of a key, in quotes if it needs them."""
    return key if _BARE_KEY.fullmatch(key) else _quoted(key)


def format_table(section: str, name: str, table: Mapping[str, object]) -> str:
    """Return the table `[section.name]` as text. It ends with a newline."""
    lines = [f"[{section}.{format_key(name)}]"]
    lines += [f"{format_key(key)} = {format_toml(value)}" for key, value in table.items()]
    return "\n".join([*lines, ""])


def _quoted(text: str) -> str:
    """Return a basic string. JSON's escapes are TOML's, except for DEL, which JSON leaves."""
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007F")
