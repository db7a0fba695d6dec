"""The config file: TOML to configuration, with every problem named by file, line and key."""

from tunnelkeeper.config.errors import ConfigError, Problem
from tunnelkeeper.config.load import (
    load,
    load_document,
    load_with_warnings,
    parse,
    parse_with_warnings,
)

__all__ = [
    "ConfigError",
    "Problem",
    "load",
    "load_document",
    "load_with_warnings",
    "parse",
    "parse_with_warnings",
]
