"""Reading of a TOML table by a mapping of its keys to the parsers of their values."""

from __future__ import annotations

from difflib import get_close_matches
from typing import TYPE_CHECKING, Any

from tunnelkeeper.config.errors import InvalidValueError, ValueProblem, mismatch, prefixed
from tunnelkeeper.config.parser import Keys, Parser, accepts, table_schema
from tunnelkeeper.core.message import Message

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

MAX_LISTED_KEYS = 6
"""The known keys are listed up to this number if none is similar to the unknown key."""


MAX_EXPLAINED = 100
"""Problems of a table after which unknown keys get no suggestion; finding one takes a while."""


def unknown_key(key: str, known: Iterable[str]) -> Message:
    """Return the message for an unknown key, with a suggestion if one is similar."""
    known = list(known)
    if near := get_close_matches(key.lower(), known, n=1):
        return Message("unknown key", f"did you mean {near[0]!r}?")
    if len(known) <= MAX_LISTED_KEYS:
        return Message("unknown key", f"the keys here are {', '.join(map(repr, known))}")
    return Message("unknown key")


def read_keys(
    table: Mapping[str, object],
    keys: Keys,
    explain: Callable[[str, object], Message] | None = None,
) -> tuple[dict[str, Any], list[ValueProblem]]:
    """Return the values that can be read, and the problems of the others.

    explain: returns the message for an unknown key and its value.
    """
    values: dict[str, Any] = {}
    problems: list[ValueProblem] = []
    for key, value in table.items():
        if key not in keys:
            if len(problems) >= MAX_EXPLAINED:
                message = Message("unknown key")
            else:
                message = explain(key, value) if explain else unknown_key(key, keys)
            problems.append(ValueProblem((key,), message.text, message.hint))
            continue
        try:
            values[key] = keys[key](value)
        except InvalidValueError as error:
            problems += prefixed((key,), error.problems)
    return values, problems


def table_of(keys: Keys) -> Parser[dict[str, Any]]:
    """Return a parser for a table, inline or not. Every key is optional."""

    @accepts(table_schema(keys), is_exact=all(parser.is_exact for parser in keys.values()))
    def read(value: object) -> dict[str, Any]:
        if not isinstance(value, dict):
            raise mismatch(f"a table of {', '.join(keys)}", value)
        values, problems = read_keys(value, keys)
        if problems:
            raise InvalidValueError(*problems)
        return values

    return read
