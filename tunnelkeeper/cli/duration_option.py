"""The values of options that take a duration, or seconds."""

from __future__ import annotations

from math import inf
from typing import Any

import click

from tunnelkeeper.core.text import printable


class Seconds(click.types.FloatParamType):
    """A number of seconds, which is not negative."""

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        """Return the number. Raises click.BadParameter."""
        seconds = float(super().convert(value, param, ctx))
        if not 0 <= seconds < inf:
            self.fail(f"expected a number of seconds, got {str(value)!r}", param, ctx)
        return seconds


def parse_duration(
    _context: click.Context, _option: click.Parameter, text: str | None
) -> float | None:
    """Return the seconds of a duration such as `8h`; a callback of click."""
    if text is None:
        return None
    from tunnelkeeper.config.errors import InvalidValueError
    from tunnelkeeper.config.value_parsers import positive_duration

    try:
        return positive_duration(text if not text.isdecimal() else int(text))
    except (InvalidValueError, ValueError) as error:
        raise click.BadParameter(printable(str(error))) from error
