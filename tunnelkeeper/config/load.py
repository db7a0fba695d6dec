"""From the text of a config file to a Configuration, or to every problem that the file has.

The only module of the package that opens a file.
"""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tunnelkeeper.config.checks import cautions, contradictions
from tunnelkeeper.config.layers import layered
from tunnelkeeper.config.lines import line_numbers
from tunnelkeeper.config.problems import ConfigError, Fault, KeyPath, Problem, printed
from tunnelkeeper.config.sections import read_sections
from tunnelkeeper.core.failures import printable
from tunnelkeeper.core.tunnels import Configuration

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

Loaded = tuple[Configuration, tuple[Problem, ...]]
"""A configuration and the warnings about it, in the order of the file."""

_AT_LINE = re.compile(r" \(at line (\d+), column \d+\)$")
_SYNTAX_HINTS = {
    "Invalid value": "a string stands in quotes; true and false have none",
    "Cannot overwrite a value": "the key is there twice",
    "Cannot declare": "the table is there twice",
    "Expected '=' after a key": "a table's header stands in brackets",
}
"""What tomllib says of the commonest slips, and what to look for."""


def load(path: str | Path) -> Configuration:
    """Read a config file.

    Raises ConfigError with all its problems.
    """
    return load_with_warnings(path)[0]


def load_with_warnings(path: str | Path) -> Loaded:
    """Read a config file, and tell what in it is allowed and probably not meant.

    Raises ConfigError with all its problems.
    """
    return parse_with_warnings(_text_of(str(path)), str(path))


def parse(text: str, path: str) -> Configuration:
    """Read the text of a config file. path: what to call it.

    Raises ConfigError with all its problems.
    """
    return parse_with_warnings(text, path)[0]


def parse_with_warnings(text: str, path: str) -> Loaded:
    """Read the text of a config file, and tell what is allowed and probably not meant.

    Raises ConfigError with all its problems.
    """
    document, lines = _document(text, path)
    sections, faults = read_sections(document)
    faults += contradictions(sections)
    if faults:
        raise ConfigError(_problems(faults, path, lines))
    configuration = layered(sections, path)
    return configuration, _problems(cautions(document, configuration), path, lines)


def _problems(
    faults: Iterable[Fault], path: str, lines: Mapping[KeyPath, int]
) -> tuple[Problem, ...]:
    """The faults with their lines, sorted by them; those of the whole file come first."""
    problems = (
        Problem(path, lines.get(fault.at), printed(fault.at), fault.message) for fault in faults
    )
    return tuple(sorted(problems, key=lambda problem: problem.line or 0))


def _document(text: str, path: str) -> tuple[dict[str, Any], dict[KeyPath, int]]:
    try:
        return tomllib.loads(text), line_numbers(text)
    except RecursionError:
        problem = Problem(path, None, "", "brackets are nested too deeply")
    except tomllib.TOMLDecodeError as error:
        problem = _syntax_problem(error, text, path)
    except ValueError:  # from int(), which does not read thousands of digits
        problem = Problem(path, None, "", "a number has thousands of digits")
    raise ConfigError([problem])


def _syntax_problem(error: tomllib.TOMLDecodeError, text: str, path: str) -> Problem:
    message = str(error).removesuffix(" (at end of document)")
    line = text.rstrip().count("\n") + 1
    if match := _AT_LINE.search(message):
        line, message = int(match[1]), message[: match.start()]
    hints = [hint for start, hint in _SYNTAX_HINTS.items() if message.startswith(start)]
    return Problem(path, line, "", "; ".join([printable(message), *hints]))


def _text_of(path: str) -> str:
    """The text of a file; a byte order mark, as some editors leave it, is no part of it."""
    try:
        return Path(path).read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        problem = "no such file; write one, or name another with --config or $TUNNELKEEPER_CONFIG"
    except IsADirectoryError:
        problem = "this is a folder; name the file in it"
    except PermissionError:
        problem = "permission denied; let the user that runs tunnelkeeper read it"
    except UnicodeDecodeError as error:
        problem = f"not UTF-8 at byte {error.start}; save the file as UTF-8"
    except OSError as error:
        problem = f"{error.strerror}; name another file with --config"
    except ValueError as error:  # a NUL in the path
        problem = f"not a path: {error}"
    raise ConfigError([Problem(path, None, "", problem)])
