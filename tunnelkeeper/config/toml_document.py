"""TOML files as documents in which every key has a line number, or the problems of a file.

It knows no keys. tunnels.toml and relay.toml are both read through it; no other module of the
package reads a file.
"""

from __future__ import annotations

import os
import re
import shlex
import tomllib
from typing import TYPE_CHECKING, Any

from msgspec import Struct

from tunnelkeeper.config.errors import ConfigError, KeyPath, Problem, ValueProblem, format_key_path
from tunnelkeeper.config.line_numbers import line_numbers
from tunnelkeeper.config.toml_limits import SIZE_LIMIT, limit_problem
from tunnelkeeper.core.message import Message
from tunnelkeeper.core.text import printable
from tunnelkeeper.net.file_trust import describe_user, find_strict_distrust
from tunnelkeeper.net.regular_file import read_regular_file

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

_AT_LINE = re.compile(r" \(at line (\d+), column \d+\)$")
_QUOTED = re.compile(r"'([^']*)'")
_KEY_TUPLE = re.compile(r"\('[^)]*'\,?\)")  # tomllib shows the path of a key as a tuple
_SYNTAX_HINTS = {
    "Invalid value": "write strings in quotes, and true and false without",
    "Cannot overwrite a value": "the key is defined twice: remove one of them",
    "Cannot declare": "the table is defined twice: join the two",
    "Expected '=' after a key": 'write `key = "value"`; a table\'s header stands in brackets',
}
"""tomllib's messages for common mistakes, and a hint for each."""


MAX_PROBLEMS = 200
"""Problems of a file that are shown; more are only counted."""


class Document(Struct, frozen=True):
    """The content of a file. path: as the caller named it. lines: of every key, from 1."""

    path: str
    values: Mapping[str, Any]
    lines: Mapping[KeyPath, int]

    def problems(self, found: Iterable[ValueProblem]) -> tuple[Problem, ...]:
        """Return the problems with their lines, sorted. Those of the whole file come first."""
        by_line = sorted(found, key=lambda one: self.lines.get(one.key_path, 0))
        problems = [
            Problem(
                self.path,
                self.lines.get(one.key_path),
                format_key_path(one.key_path),
                one.message,
                one.hint,
                one.key_path,
            )
            for one in by_line[:MAX_PROBLEMS]
        ]
        if len(by_line) > MAX_PROBLEMS:
            more = f"{len(by_line) - MAX_PROBLEMS} more problems"
            problems.append(Problem(self.path, None, "", more))
        return tuple(problems)


def parse_document(text: str, path: str) -> Document:
    """Parse the text of a file.

    Raises ConfigError if it is not TOML, or exceeds a limit of `toml_limits`.
    """
    if exceeded := limit_problem(text):
        line, message = exceeded
        raise ConfigError([Problem(path, line, "", message)])
    try:
        return Document(path, tomllib.loads(text), line_numbers(text))
    except RecursionError:
        problem = Problem(path, None, "", "brackets are nested too deeply")
    except tomllib.TOMLDecodeError as error:
        problem = _syntax_problem(error, text, path)
    except ValueError:  # from int(), which refuses thousands of digits
        problem = Problem(path, None, "", "a number has thousands of digits")
    raise ConfigError([problem])


def read_text(path: str, named_by: str, created_by: str = "") -> str:
    """Return the text of a file, without a byte order mark, if no other user could write it.

    A config file names programs to run, or who may log in; ssh refuses such a file as well.

    named_by: the option that names another file, created_by: the commands that write this one; for
    messages. Raises ConfigError.
    """
    try:
        reasons = find_strict_distrust(path)
        text = read_regular_file(path, SIZE_LIMIT).decode("utf-8-sig")
    except FileNotFoundError:
        how = f" with {created_by}" if created_by else ""
        problem = Message("no such file", f"create it{how}, or name another file with {named_by}")
    except IsADirectoryError:
        problem = Message("this is a directory", f"name a file in it with {named_by}")
    except PermissionError:
        problem = _permission_problem(path)
    except UnicodeDecodeError as error:
        problem = Message(f"not UTF-8 at byte {error.start}", "save the file as UTF-8")
    except OSError as error:
        problem = Message(error.strerror or str(error), f"name another file with {named_by}")
    except ValueError as error:  # a NUL in the path
        problem = Message(f"not a path: {error}", f"name another file with {named_by}")
    else:
        if not reasons:
            return text
        raise ConfigError(_problem(path, reason.describe(path)) for reason in reasons)
    raise ConfigError([_problem(path, problem)])


def _problem(path: str, message: Message) -> Problem:
    """Return a problem of the whole file."""
    return Problem(path, None, "", message.text, message.hint)


def _permission_problem(path: str) -> Message:
    """Return the message for a file that this user may not read."""
    return Message(
        f"permission denied for {describe_user(os.geteuid())}",
        f"`chmod u+r {shlex.quote(path)}` if it is your file; otherwise run tunnelkeeper as its "
        "owner",
    )


def _syntax_problem(error: tomllib.TOMLDecodeError, text: str, path: str) -> Problem:
    message = str(error).removesuffix(" (at end of document)")
    line = text.rstrip().count("\n") + 1
    if match := _AT_LINE.search(message):
        line, message = int(match[1]), message[: match.start()]
    hints = [hint for start, hint in _SYNTAX_HINTS.items() if message.startswith(start)]
    message = _KEY_TUPLE.sub(lambda found: ".".join(_QUOTED.findall(found[0])), message)
    text = printable(message[:1].lower() + message[1:])
    return Problem(path, line, "", text, "; ".join(hints))
