"""The table of a tunnel from the words of a command line: a host, specs of ssh, and KEY=VALUE.

A value is TOML, or a text without quotes where TOML has no such value or the key accepts none.
Everything is validated as in the config file. Conflicts with other tunnels are left to the caller.
"""

from __future__ import annotations

import tomllib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from tunnelkeeper.config.errors import InvalidValueError, format_key_path
from tunnelkeeper.config.schema import BACKOFF_KEYS, TUNNEL_KEYS, unknown_in_tunnel
from tunnelkeeper.config.table_reader import unknown_key
from tunnelkeeper.config.value_parsers import hook_command
from tunnelkeeper.core.message import Message
from tunnelkeeper.core.text import printable

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from tunnelkeeper.config.parser import Reader

SPEC_OPTIONS = {"local": "-L", "remote": "-R", "socks": "-D"}
"""The option of ssh for each kind of forward."""

_YES_AND_NO = {"yes": True, "no": False}
_BRACKETS = {"[": "]", "{": "}"}
_LIST_HINT = """quote the word for the shell, and each text in it: 'KEY=["a", "b"]'"""
_HOST_HINT = "the first argument is an ssh_config alias, a [hosts] name or [user@]host[:port]"
_WORD_LIMIT = 200


class WordsError(Exception):
    """Words that make no tunnel. problems: each with the word in front."""

    def __init__(self, problems: Sequence[Message]) -> None:
        super().__init__("\n".join(map(str, problems)))
        self.problems = tuple(problems)


@dataclass(slots=True)
class _Table:
    """A table in the making, and the problems so far."""

    values: dict[str, Any] = field(default_factory=dict)
    problems: list[Message] = field(default_factory=list)

    def add_problem(self, word: str, message: Message) -> None:
        self.problems.append(message.about(printable(word, _WORD_LIMIT)))


def read_tunnel(
    host: str, specs: Mapping[str, Sequence[str]], settings: Sequence[str]
) -> dict[str, Any]:
    """Return the table of a tunnel, with TOML values.

    specs: the specs of each kind of forward, by `local`, `remote` and `socks`. settings: KEY=VALUE.
    Raises WordsError with all problems.
    """
    table = _Table()
    if "=" in host:
        table.add_problem(host, Message("expected a host, got KEY=VALUE", _HOST_HINT))
    elif problem := _problem_of(TUNNEL_KEYS["host"], host):
        table.add_problem(host, problem)
    table.values["host"] = host
    for kind, option in SPEC_OPTIONS.items():
        for spec in specs.get(kind, ()):
            if problem := _problem_of(TUNNEL_KEYS[kind], spec):
                table.add_problem(f"{option} {spec}", _with_target(problem, option, spec))
            table.values.setdefault(kind, []).append(spec)
    for word in settings:
        _add_setting(table, word)
    if table.problems:
        raise WordsError(table.problems)
    return table.values


def _add_setting(table: _Table, word: str) -> None:
    """Add KEY=VALUE to a table, or its problem."""
    key, equals, raw = word.partition("=")
    if not equals or not key:
        table.add_problem(word, _unexpected(word))
        return
    section, dot, subkey = key.partition(".")
    if dot and section == "backoff":
        keys, values, last = BACKOFF_KEYS, table.values.setdefault("backoff", {}), subkey
        unknown = unknown_key(subkey, BACKOFF_KEYS)
    else:
        keys, values, last = TUNNEL_KEYS, table.values, key
        unknown = unknown_in_tunnel(key, raw)
    reader = keys.get(last)
    if reader is None:
        table.add_problem(word, unknown)
        return
    if key == "host":
        message = Message("the host is an argument of its own", "write it without `host=`")
        table.add_problem(word, message)
        return
    value, problem = _read_value(reader, raw)
    if not problem and last in values:
        # The list of a hook is one command; two of them are not a list.
        value = [*_as_list(values[last]), *_as_list(value)]
        if reader is hook_command or isinstance(values[last], dict) or _problem_of(reader, value):
            problem = Message(f"{key} is given twice", "leave one of them out")
    if problem:
        table.add_problem(word, problem)
    else:
        values[last] = value


def _with_target(problem: Message, option: str, spec: str) -> Message:
    """Return the problem of a spec. ssh needs a target where a port alone is given."""
    if option != "-L" or not (spec.isascii() and spec.isdigit()):
        return problem
    call = f"`{option} {spec}:localhost:{spec}`"
    return Message(problem.text, f"to reach port {spec} of the server itself, write {call}")


def _unexpected(word: str) -> Message:
    """Return the message for a word without =: often a spec whose option is missing."""
    options = [
        option
        for kind, option in SPEC_OPTIONS.items()
        if ":" in word and _problem_of(TUNNEL_KEYS[kind], word) is None
    ]
    hint = f"for a forward, write {' or '.join(f'`{each} {word}`' for each in options)}"
    return Message("expected KEY=VALUE", hint if options else "")


def _read_value(reader: Reader[Any], raw: str) -> tuple[object, Message | None]:
    """Return the value that a key accepts, and no problem; else the problem."""
    if not _is_utf8(raw):
        return None, Message("not UTF-8")
    parsed, is_toml = _parse_toml(raw)
    if not is_toml and raw[:1] in _BRACKETS and raw.endswith(_BRACKETS[raw[0]]):
        return None, Message("not TOML", _LIST_HINT)
    candidates: list[object] = [parsed, raw] if is_toml else [raw]
    if raw.lower() in _YES_AND_NO:
        candidates.append(_YES_AND_NO[raw.lower()])
    problems = []
    for candidate in candidates:
        problem = _problem_of(reader, candidate)
        if not problem:
            return candidate, None
        problems.append(problem)
    return None, problems[0]


def _parse_toml(raw: str) -> tuple[object, bool]:
    """Return the TOML value that a text is, and whether it is one."""
    if "\n" in raw:
        return raw, False
    try:
        parsed = tomllib.loads(f"value = {raw}")
    except (ValueError, RecursionError):  # a TOMLDecodeError, or a number of thousands of digits
        return raw, False
    return parsed["value"], True


def _problem_of(reader: Reader[Any], value: object) -> Message | None:
    """Return why a key does not accept a value, or None."""
    if isinstance(value, str) and not _is_utf8(value):
        return Message("not UTF-8")
    try:
        reader(value)
    except InvalidValueError as error:
        text = "; ".join(
            f"{format_key_path(each.key_path)}: {each.message}" if each.key_path else each.message
            for each in error.problems
        )
        return Message(text, "; ".join(each.hint for each in error.problems if each.hint))
    return None


def _is_utf8(text: str) -> bool:
    """Return whether a text of the command line can be written to a file."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _as_list(value: object) -> list[object]:
    return value if isinstance(value, list) else [value]
