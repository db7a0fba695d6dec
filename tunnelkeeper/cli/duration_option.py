"""The value of an option that takes a duration."""

from __future__ import annotations

import click

from tunnelkeeper.config.errors import InvalidValueError
from tunnelkeeper.config.value_parsers import positive_duration
from tunnelkeeper.core.text import printable


def parse_duration(
    _context: click.Context, _option: click.Parameter, text: str | None
) -> float | None:
    """Return the seconds of a duration such as `8h`; a callback of click."""
    if text is None:
        return None
    try:
        return positive_duration(text if not text.isdecimal() else int(text))
    except (InvalidValueError, ValueError) as error:
        raise click.BadParameter(printable(str(error))) from error
