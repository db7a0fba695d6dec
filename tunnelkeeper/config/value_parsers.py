"""Parsers of single values: from a TOML value to the value of a field.

Each takes a value and returns it in its final form, or raises ValueRefusedError with what was
expected and what was found. None knows which key it parses. SSH host names and forwards have
modules of their own.
"""

from __future__ import annotations

import re
import shlex
from difflib import get_close_matches
from typing import TypeGuard, TypeVar

from tunnelkeeper.config.errors import (
    InvalidValueError,
    ValueProblem,
    mismatch,
    prefixed,
    value_error,
)
from tunnelkeeper.config.parser import (
    LINE,
    Parser,
    accepts,
    any_of,
    list_of,
    one_or_more,
)

T = TypeVar("T")

MAX_DURATION = 100 * 365 * 86400.0
"""Seconds. More is a typing mistake, and would overflow when added to a date."""

NAME_PATTERN = "[A-Za-z0-9][A-Za-z0-9._-]{0,63}"
_NAME = re.compile(NAME_PATTERN)
_NUMBER = r"(\d+(?:\.\d+)?)"
_DURATION = re.compile(
    rf"(?:{_NUMBER}d)?(?:{_NUMBER}h)?(?:{_NUMBER}m)?(?:{_NUMBER}s)?(?:{_NUMBER}ms)?", re.ASCII
)
_SECONDS = (86400, 3600, 60, 1, 0.001)  # of each group above
_DURATION_FORMS = 'a duration such as 15 (seconds), 0.5, "500ms", "15s", "2m" or "1h30m"'
_BYTE_SIZE = re.compile(r"([0-9]{1,18})([KMG]?)", re.IGNORECASE)
# ssh_config(5), Ciphers: a list that may begin with + - or ^, of names and patterns.
_ALGORITHMS = re.compile(r"[-+^]?[A-Za-z0-9@._*?!-]+(?:,[A-Za-z0-9@._*?!-]+)*")
_DURATION_PATTERN = "".join(f"([0-9]+([.][0-9]+)?{unit})?" for unit in ("d", "h", "m", "s", "ms"))
_DURATION_TEXT = {"type": "string", "minLength": 1, "pattern": f"^{_DURATION_PATTERN}$"}


@accepts(LINE)
def text(value: object) -> str:
    """Parse a string of one line, not empty, without control characters."""
    if not isinstance(value, str):
        raise mismatch("a string in quotes", value)
    if not value:
        raise value_error("expected a string, got an empty one", "leave the key out instead")
    if not value.isprintable():
        raise mismatch("a string of one line without control characters", value)
    return value


@accepts({"type": "string", "pattern": f"^{NAME_PATTERN}$"})
def name(value: object) -> str:
    """Parse the name of a tunnel, a host or a group."""
    if isinstance(value, str) and _NAME.fullmatch(value):
        return value
    rule = "a name of at most 64 letters, digits, '.', '_' and '-' that begins with a letter"
    raise mismatch(f"{rule} or a digit", value)


@accepts({"type": "boolean"})
def flag(value: object) -> bool:
    """Parse true or false."""
    if isinstance(value, bool):
        return value
    meant = {"true": "true", "yes": "true", "false": "false", "no": "false"}.get(
        value.lower() if isinstance(value, str) else ""
    )
    raise mismatch("true or false", value, f"write {meant} without quotes" if meant else "")


def one_of(*choices: str) -> Parser[str]:
    """Return a parser for one of these words."""
    expected = " or ".join([", ".join(map(repr, choices[:-1])), repr(choices[-1])])

    @accepts({"enum": list(choices)})
    def read(value: object) -> str:
        if isinstance(value, str) and value in choices:
            return value
        near = get_close_matches(value.lower(), choices, n=1) if isinstance(value, str) else []
        raise mismatch(expected, value, f"did you mean {near[0]!r}?" if near else "")

    return read


def at_least(minimum: int, advice: str = "") -> Parser[int]:
    """Return a parser for a whole number."""

    @accepts({"type": "integer", "minimum": minimum, "maximum": 2**31 - 1})
    def read(value: object) -> int:
        if type(value) is int and minimum <= value < 2**31:  # not isinstance: True is an int
            return value
        raise mismatch(f"a whole number of at least {minimum}", value, unquoted(value) or advice)

    return read


def between(minimum: float, maximum: float) -> Parser[float]:
    """Return a parser for a number in a range."""

    @accepts({"type": "number", "minimum": minimum, "maximum": maximum})
    def read(value: object) -> float:
        if is_number(value) and minimum <= value <= maximum:
            return float(value)
        raise mismatch(f"a number from {minimum:g} to {maximum:g}", value, unquoted(value))

    return read


@accepts(
    any_of(
        {"type": "integer", "minimum": 0, "maximum": 2**62 - 1},
        {"type": "string", "pattern": "^[0-9]{1,18}[KMGkmg]?$"},
    )
)
def byte_size(value: object) -> int:
    """Parse bytes: a whole number, or a string with K, M or G (1024 to the power of 1, 2 or 3)."""
    size = value
    if isinstance(value, str) and (match := _BYTE_SIZE.fullmatch(value)):
        size = int(match[1]) << {"": 0, "K": 10, "M": 20, "G": 30}[match[2].upper()]
    if type(size) is int and 0 <= size < 2**62:
        return size
    raise mismatch('bytes, such as 67108864, "512M" or "2G"', value)


@accepts(any_of({"type": "number", "minimum": 0, "maximum": MAX_DURATION}, _DURATION_TEXT))
def duration(value: object) -> float:
    """Parse seconds: a number, or a string with units from days to milliseconds, largest first."""
    seconds = value
    if isinstance(value, str) and value and (match := _DURATION.fullmatch(value)):
        amounts = zip(match.groups(default="0"), _SECONDS, strict=True)
        seconds = sum(float(amount) * unit for amount, unit in amounts)
    if not is_number(seconds) or not seconds >= 0:
        raise mismatch(_DURATION_FORMS, value)
    if seconds > MAX_DURATION:
        raise mismatch("a duration of at most 100 years", value)
    return float(seconds)


@accepts(
    any_of(
        {"type": "number", "exclusiveMinimum": 0, "maximum": MAX_DURATION},
        {**_DURATION_TEXT, "allOf": [{"pattern": "[1-9]"}]},
    )
)
def positive_duration(value: object) -> float:
    """Parse a duration of more than 0 seconds."""
    seconds = duration(value)
    if seconds == 0:
        raise mismatch("a duration of more than 0 seconds", value)
    return seconds


@accepts({"type": "integer", "minimum": 1, "maximum": 65535})
def port(value: object) -> int:
    """Parse a TCP port, 1 to 65535."""
    if type(value) is int and 0 < value < 65536:
        return value
    raise mismatch("a port from 1 to 65535", value, unquoted(value))


@accepts(one_or_more(port.schema, is_required=True))
def ports(value: object) -> tuple[int, ...]:
    """Parse a port or a list of ports."""
    if value == []:
        raise value_error("expected a port or several, got an empty list")
    return several(port)(value)


@accepts(
    one_or_more({"type": "string", "pattern": f"^{_ALGORITHMS.pattern}$"}, is_required=True),
    is_exact=False,
)
def algorithms(value: object) -> str:
    """Parse a list of algorithms in OpenSSH's syntax, or an array of their names."""
    listed = ",".join(several(text)(value))
    if not _ALGORITHMS.fullmatch(listed):
        raise mismatch("names with commas between them, after + - or ^ if at all", listed)
    return listed


def several(read: Parser[T]) -> Parser[tuple[T, ...]]:
    """Return a parser for a list or a single value. Every invalid element is reported."""

    @accepts(one_or_more(read.schema), is_exact=read.is_exact)
    def read_all(value: object) -> tuple[T, ...]:
        if not isinstance(value, list):
            return (read(value),)
        accepted: list[T] = []
        problems: list[ValueProblem] = []
        for index, element in enumerate(value):
            try:
                accepted.append(read(element))
            except InvalidValueError as error:
                problems += prefixed((index,), error.problems)
        if problems:
            raise InvalidValueError(*problems)
        return tuple(accepted)

    return read_all


def is_number(value: object) -> TypeGuard[float]:
    """Return whether a value is a number. true and false are not; nan is."""
    return isinstance(value, int | float) and not isinstance(value, bool)


def unquoted(value: object) -> str:
    """Return advice for a number in quotes, or an empty string."""
    is_digits = isinstance(value, str) and re.fullmatch(r"\d{1,9}(\.\d{1,9})?", value, re.ASCII)
    return f"write it without quotes: {value}" if is_digits else ""


@accepts(any_of({**LINE, "pattern": "[^ ]"}, list_of({"type": "string"})), is_exact=False)
def hook_command(value: object) -> tuple[str, ...]:
    """Parse a program and its arguments. An empty list disables a hook of [defaults]."""
    match value:
        case str():
            return _split_command_line(text(value))
        case list():
            return _argument_list(value)
    raise mismatch('a command in quotes, or a list as ["program", "argument"]', value)


def _split_command_line(line: str) -> tuple[str, ...]:
    try:
        arguments = tuple(shlex.split(line))
    except ValueError as error:  # for example "No closing quotation"
        raise value_error(f"{str(error)[:1].lower()}{str(error)[1:]} in {line!r}") from None
    if not arguments or not arguments[0]:
        raise mismatch("a command", line)
    return arguments


def _argument_list(value: list[object]) -> tuple[str, ...]:
    problems = []
    arguments = []
    for index, word in enumerate(value):
        if not isinstance(word, str):
            problems.append(_element_problem(index, mismatch("a string in quotes", word)))
        elif "\0" in word:
            problems.append(ValueProblem((index,), "a program cannot be given a NUL character"))
        elif not index and not word:
            problems.append(ValueProblem((index,), "expected a program, got an empty string"))
        else:
            arguments.append(word)
    if problems:
        raise InvalidValueError(*problems)
    return tuple(arguments)


def _element_problem(index: int, error: InvalidValueError) -> ValueProblem:
    return ValueProblem((index,), error.problems[0].message)
