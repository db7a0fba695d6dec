"""From the text of a TOML file to a document whose every key has a line, or to what is wrong.

What the keys mean is for others: the tunnels' file and the relay's are both read through this, the
only module of the package that opens a file.
"""

from __future__ import annotations

import re
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tunnelkeeper.config.errors import ConfigError, KeyPath, Problem, ValueProblem, printed
from tunnelkeeper.config.line_numbers import line_numbers
from tunnelkeeper.core.text import printable

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

_AT_LINE = re.compile(r" \(at line (\d+), column \d+\)$")
_SYNTAX_HINTS = {
    "Invalid value": "a string stands in quotes; true and false have none",
    "Cannot overwrite a value": "the key is there twice",
    "Cannot declare": "the table is there twice",
    "Expected '=' after a key": "a table's header stands in brackets",
}
"""What tomllib says of the commonest slips, and what to look for."""


@dataclass(frozen=True, slots=True)
class Document:
    """What a file says. path: as the caller named it. lines: of every key, from 1."""

    path: str
    values: Mapping[str, Any]
    lines: Mapping[KeyPath, int]

    def problems(self, faults: Iterable[ValueProblem]) -> tuple[Problem, ...]:
        """The faults with their lines, sorted by them; those of the whole file come first."""
        problems = (
            Problem(self.path, self.lines.get(fault.at), printed(fault.at), fault.message)
            for fault in faults
        )
        return tuple(sorted(problems, key=lambda problem: problem.line or 0))


def parse_document(text: str, path: str) -> Document:
    """Read the text of a file.

    Raises ConfigError where it is no TOML.
    """
    try:
        return Document(path, tomllib.loads(text), line_numbers(text))
    except RecursionError:
        problem = Problem(path, None, "", "brackets are nested too deeply")
    except tomllib.TOMLDecodeError as error:
        problem = _syntax_problem(error, text, path)
    except ValueError:  # from int(), which does not read thousands of digits
        problem = Problem(path, None, "", "a number has thousands of digits")
    raise ConfigError([problem])


def text_of(path: str, named_by: str) -> str:
    """The text of a file; a byte order mark, as some editors leave it, is no part of it.

    named_by: how a person names another file, for the messages. Raises ConfigError.
    """
    try:
        return Path(path).read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        problem = f"no such file; write one, or name another with {named_by}"
    except IsADirectoryError:
        problem = "this is a folder; name the file in it"
    except PermissionError:
        problem = "permission denied; let the user that runs tunnelkeeper read it"
    except UnicodeDecodeError as error:
        problem = f"not UTF-8 at byte {error.start}; save the file as UTF-8"
    except OSError as error:
        problem = f"{error.strerror}; name another file with {named_by}"
    except ValueError as error:  # a NUL in the path
        problem = f"not a path: {error}"
    raise ConfigError([Problem(path, None, "", problem)])


def _syntax_problem(error: tomllib.TOMLDecodeError, text: str, path: str) -> Problem:
    message = str(error).removesuffix(" (at end of document)")
    line = text.rstrip().count("\n") + 1
    if match := _AT_LINE.search(message):
        line, message = int(match[1]), message[: match.start()]
    hints = [hint for start, hint in _SYNTAX_HINTS.items() if message.startswith(start)]
    return Problem(path, line, "", "; ".join([printable(message), *hints]))
