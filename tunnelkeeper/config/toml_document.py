"""TOML files as documents in which every key has a line number, or the problems of a file.

It knows no keys. tunnels.toml and relay.toml are both read through it; no other module of the
package reads a file.
"""

from __future__ import annotations

import re
import tomllib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tunnelkeeper.config.errors import ConfigError, KeyPath, Problem, ValueProblem, format_key_path
from tunnelkeeper.config.line_numbers import line_numbers
from tunnelkeeper.config.toml_limits import SIZE_LIMIT, limit_problem
from tunnelkeeper.core.text import printable
from tunnelkeeper.net.file_trust import find_strict_distrust
from tunnelkeeper.net.regular_file import read_regular_file

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

_AT_LINE = re.compile(r" \(at line (\d+), column \d+\)$")
_SYNTAX_HINTS = {
    "Invalid value": "write strings in quotes, and true and false without",
    "Cannot overwrite a value": "the key is defined twice",
    "Cannot declare": "the table is defined twice",
    "Expected '=' after a key": "a table's header stands in brackets",
}
"""tomllib's messages for common mistakes, and a hint for each."""


MAX_PROBLEMS = 200
"""Problems of a file that are shown; more are only counted."""


@dataclass(frozen=True, slots=True)
class Document:
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
        problem = f"no such file; create it{how}, or name another file with {named_by}"
    except IsADirectoryError:
        problem = "this is a directory; name a file in it"
    except PermissionError:
        problem = "permission denied; let the user that runs tunnelkeeper read it"
    except UnicodeDecodeError as error:
        problem = f"not UTF-8 at byte {error.start}; save the file as UTF-8"
    except OSError as error:
        problem = f"{error.strerror}; name another file with {named_by}"
    except ValueError as error:  # a NUL in the path
        problem = f"not a path: {error}"
    else:
        if not reasons:
            return text
        raise ConfigError(Problem(path, None, "", reason.describe(path)) for reason in reasons)
    raise ConfigError([Problem(path, None, "", problem)])


def _syntax_problem(error: tomllib.TOMLDecodeError, text: str, path: str) -> Problem:
    message = str(error).removesuffix(" (at end of document)")
    line = text.rstrip().count("\n") + 1
    if match := _AT_LINE.search(message):
        line, message = int(match[1]), message[: match.start()]
    hints = [hint for start, hint in _SYNTAX_HINTS.items() if message.startswith(start)]
    return Problem(path, line, "", "; ".join([printable(message), *hints]))
