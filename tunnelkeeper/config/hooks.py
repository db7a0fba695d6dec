"""Reads `on_up` and `on_down`: a program and its arguments, from a list or from one line of words.

No shell will see them, so nothing is expanded; the line is split as a shell would split it.
"""

from __future__ import annotations

import shlex

from tunnelkeeper.config.errors import ValueProblem, ValueRefusedError, mismatch, refused
from tunnelkeeper.config.value_parsers import text


def command(value: object) -> tuple[str, ...]:
    """A program and its arguments; an empty list is no hook, so that one of [defaults] can go."""
    match value:
        case str():
            return _words(text(value))
        case list():
            return _listed(value)
    raise mismatch('a command in quotes, or a list as ["program", "argument"]', value)


def _words(line: str) -> tuple[str, ...]:
    try:
        words = tuple(shlex.split(line))
    except ValueError as error:  # shlex says "No closing quotation" and the like
        raise refused(f"{str(error)[:1].lower()}{str(error)[1:]} in {line!r}") from None
    if not words or not words[0]:
        raise mismatch("a command", line)
    return words


def _listed(value: list[object]) -> tuple[str, ...]:
    faults = []
    words = []
    for index, word in enumerate(value):
        if not isinstance(word, str):
            faults.append(_at(index, mismatch("a string in quotes", word)))
        elif "\0" in word:
            faults.append(ValueProblem((index,), "a program cannot be given a NUL character"))
        elif not index and not word:
            faults.append(ValueProblem((index,), "expected a program, got an empty string"))
        else:
            words.append(word)
    if faults:
        raise ValueRefusedError(*faults)
    return tuple(words)


def _at(index: int, error: ValueRefusedError) -> ValueProblem:
    return ValueProblem((index,), error.faults[0].message)
