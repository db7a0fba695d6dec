"""Reads a TOML table by a table of its keys: each key once, with the reader of its value."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from difflib import get_close_matches
from typing import Any

from tunnelkeeper.config.errors import ValueProblem, ValueRefusedError, mismatch, under
from tunnelkeeper.config.value_parsers import Reader

Keys = Mapping[str, Reader[Any]]

_FEW = 6
"""Up to so many keys are listed where none is near to what was written."""


def unknown_key(key: str, known: Iterable[str]) -> str:
    """What to say of a key that does not exist, with the one that was probably meant."""
    known = list(known)
    if near := get_close_matches(key.lower(), known, n=1):
        return f"unknown key; did you mean {near[0]!r}?"
    if len(known) <= _FEW:
        return f"unknown key; expected one of {', '.join(map(repr, known))}"
    return "unknown key"


def read_keys(
    table: Mapping[str, object],
    keys: Keys,
    explain: Callable[[str, object], str] | None = None,
) -> tuple[dict[str, Any], list[ValueProblem]]:
    """The values that can be read, and the faults of all others.

    explain: what to say of an unknown key and its value.
    """
    values: dict[str, Any] = {}
    faults: list[ValueProblem] = []
    for key, value in table.items():
        if key not in keys:
            message = explain(key, value) if explain else unknown_key(key, keys)
            faults.append(ValueProblem((key,), message))
            continue
        try:
            values[key] = keys[key](value)
        except ValueRefusedError as error:
            faults += under((key,), error.faults)
    return values, faults


def table_of(keys: Keys) -> Reader[dict[str, Any]]:
    """A table, inline or not, in which any key may be left out."""

    def read(value: object) -> dict[str, Any]:
        if not isinstance(value, dict):
            raise mismatch(f"a table of {', '.join(keys)}", value)
        values, faults = read_keys(value, keys)
        if faults:
            raise ValueRefusedError(*faults)
        return values

    return read
