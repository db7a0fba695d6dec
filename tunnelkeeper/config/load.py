"""From the text of a config file to a Configuration, or to every problem that the file has."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tunnelkeeper.config.errors import ConfigError, Problem
from tunnelkeeper.config.merging import merge
from tunnelkeeper.config.sections import read_sections
from tunnelkeeper.config.toml_document import parse_document, text_of
from tunnelkeeper.config.validation import conflicts, warnings
from tunnelkeeper.core.configuration import Configuration

if TYPE_CHECKING:
    from pathlib import Path

Loaded = tuple[Configuration, tuple[Problem, ...]]
"""A configuration and the warnings about it, in the order of the file."""

_NAMED_BY = "--config or $TUNNELKEEPER_CONFIG"


def load(path: str | Path) -> Configuration:
    """Read a config file.

    Raises ConfigError with all its problems.
    """
    return load_with_warnings(path)[0]


def load_with_warnings(path: str | Path) -> Loaded:
    """Read a config file, and tell what in it is allowed and probably not meant.

    Raises ConfigError with all its problems.
    """
    return parse_with_warnings(text_of(str(path), _NAMED_BY), str(path))


def parse(text: str, path: str) -> Configuration:
    """Read the text of a config file. path: what to call it.

    Raises ConfigError with all its problems.
    """
    return parse_with_warnings(text, path)[0]


def parse_with_warnings(text: str, path: str) -> Loaded:
    """Read the text of a config file, and tell what is allowed and probably not meant.

    Raises ConfigError with all its problems.
    """
    document = parse_document(text, path)
    sections, faults = read_sections(document.values)
    faults += conflicts(sections)
    if faults:
        raise ConfigError(document.problems(faults))
    configuration = merge(sections, path)
    return configuration, document.problems(warnings(document.values, configuration))
