"""The tunnels that a command is about, as arguments and as words; decides nothing else."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import click

F = TypeVar("F", bound=Callable[..., Any])


def selection(command: F) -> F:
    """Give a command NAME... and --group."""
    command = click.option("--group", metavar="G", help="The tunnels of this group.")(command)
    return click.argument("names", metavar="[NAME]...", nargs=-1)(command)


def listed(names: list[str]) -> str:
    """Names for a sentence."""
    return ", ".join(names) if names else "no tunnel"
