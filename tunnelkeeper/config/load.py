"""Loading of a config file: a Configuration, or every problem that the file has."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from tunnelkeeper.config.errors import ConfigError, Problem
from tunnelkeeper.config.merging import merge
from tunnelkeeper.config.sections import read_sections
from tunnelkeeper.config.toml_document import parse_document, read_text
from tunnelkeeper.config.validation import conflicts, warnings
from tunnelkeeper.core.configuration import Configuration

if TYPE_CHECKING:
    from pathlib import Path

    from tunnelkeeper.config.toml_document import Document

Loaded = tuple[Configuration, tuple[Problem, ...]]
"""A configuration and the warnings about it, in the order of the file."""

_NAMED_BY = "--config or $TUNNELKEEPER_CONFIG"
_CREATED_BY = "`tunnelkeeper init` or `tunnelkeeper add`"


def load(path: str | Path) -> Configuration:
    """Read a config file.

    Raises ConfigError with all its problems.
    """
    return load_with_warnings(path)[0]


def load_with_warnings(path: str | Path) -> Loaded:
    """Read a config file. Return the warnings too: what is valid and probably a mistake.

    Raises ConfigError with all its problems.
    """
    return parse_with_warnings(read_text(str(path), _NAMED_BY, _CREATED_BY), str(path))


def parse(text: str, path: str) -> Configuration:
    """Parse the text of a config file. path: its name in messages.

    Raises ConfigError with all its problems.
    """
    return parse_with_warnings(text, path)[0]


def parse_with_warnings(text: str, path: str) -> Loaded:
    """Parse the text of a config file. Return the warnings too.

    Raises ConfigError with all its problems.
    """
    document = parse_document(text, path)
    return _load_sections(document)


def load_document(path: str | Path) -> tuple[Configuration, tuple[Problem, ...], Document]:
    """Read a config file. Return the warnings, and the document, which has the line of each key.

    Raises ConfigError with all its problems.
    """
    document = read_document(path)
    return *_load_sections(document), document


def read_document(path: str | Path) -> Document:
    """Read a config file without a look at its keys.

    Raises ConfigError if it cannot be read, or is not TOML.
    """
    return parse_document(read_text(str(path), _NAMED_BY, _CREATED_BY), str(path))


def _load_sections(document: Document) -> Loaded:
    sections, problems = read_sections(document.values)
    problems += conflicts(sections)
    if problems:
        raise ConfigError(document.problems(problems))
    configuration = replace(
        merge(sections, document.path),
        shared_tables={
            key: document.values[key] for key in ("defaults", "hosts") if key in document.values
        },
    )
    return configuration, document.problems(warnings(document.values, configuration))
