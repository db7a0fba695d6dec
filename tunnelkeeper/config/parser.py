"""Parsers of values, each with the JSON Schema of the TOML values that it accepts.

The schema describes what JSON Schema can express: types, ranges, choices and simple patterns. It
accepts every value that the parser accepts. It may accept others, such as a malformed forward.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)
Reader = Callable[[object], T]
Schema = Mapping[str, Any]
"""A JSON Schema (draft 2020-12) as JSON objects. Editors that know draft 7 only read it too."""

LINE: Schema = {"type": "string", "pattern": "^[^\\u0000-\\u001f\\u007f-\\u009f]+$"}
"""A string of one line, not empty, without control characters."""

WORDS: Schema = {"type": "string", "minLength": 1}
"""A string with a grammar of its own, not empty."""


@dataclass(frozen=True, slots=True)
class Parser(Generic[T_co]):
    """A function from a TOML value to its final form, and the schema of the values.

    is_exact: whether the schema refuses every value that the function refuses.
    """

    read: Callable[[object], T_co]
    schema: Schema
    is_exact: bool = True

    def __call__(self, value: object) -> T_co:
        """Parse a value. Raises InvalidValueError."""
        return self.read(value)


Keys = Mapping[str, Parser[Any]]
"""The keys of a table, with the parsers of their values."""


def accepts(schema: Schema, *, is_exact: bool = True) -> Callable[[Reader[T]], Parser[T]]:
    """Return a decorator that makes a function the parser of the values of a schema.

    is_exact: False if the function refuses values that the schema accepts, as it may if the schema
    contains WORDS.
    """

    def decorate(read: Reader[T]) -> Parser[T]:
        return Parser(read, schema, is_exact and not _has_words(schema))

    return decorate


def _has_words(schema: object) -> bool:
    if isinstance(schema, Mapping):
        return schema == WORDS or any(map(_has_words, schema.values()))
    return isinstance(schema, list) and any(map(_has_words, schema))


def any_of(*schemas: Schema) -> Schema:
    """Return the schema of a value that matches one of these."""
    choices: list[Schema] = []
    for schema in schemas:
        choices += schema["anyOf"] if set(schema) == {"anyOf"} else [schema]
    return {"anyOf": choices}


def list_of(element: Schema, *, is_required: bool = False) -> Schema:
    """Return the schema of a list. is_required: it must not be empty."""
    return {"type": "array", "items": element, **({"minItems": 1} if is_required else {})}


def one_or_more(element: Schema, *, is_required: bool = False) -> Schema:
    """Return the schema of a single value or a list. is_required: the list must not be empty."""
    return any_of(element, list_of(element, is_required=is_required))


def table_schema(
    keys: Keys, required: Iterable[str] = (), needs: Mapping[str, str] | None = None
) -> Schema:
    """Return the schema of a table. needs: a key that another key needs beside it, by the other."""
    schema: dict[str, Any] = {
        "type": "object",
        "properties": {key: parser.schema for key, parser in keys.items()},
        "additionalProperties": False,
    }
    if required := list(required):
        schema["required"] = required
    if needs:
        schema["dependentRequired"] = {key: [needed] for key, needed in needs.items()}
    return schema
