"""`--json`: exactly one JSON value on standard output, whether a command succeeds or fails.

A command says what it has done twice: as text with `print_text`, and as a value with `set_result`.
The program prints one of them. Messages and prompts go to standard error and the terminal.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

import click
import msgspec

if TYPE_CHECKING:
    from tunnelkeeper.cli.error_report import ErrorReport

F = TypeVar("F", bound=Callable[..., Any])

_KEY = __name__
"""The key in click's `meta`, which the contexts of a command line share."""


@dataclass(slots=True)
class _Output:
    """The requested JSON. is_stream: whether the command prints a value per line by itself."""

    is_requested: bool = False
    is_stream: bool = False
    result: object = None


def json_option(text: str, *, is_stream: bool = False) -> Callable[[F], F]:
    """Add --json to a command, which gets no parameter for it.

    text: its help. is_stream: whether the command prints a value per line by itself.
    """

    def request_if(ctx: click.Context, _option: click.Parameter, value: bool) -> None:
        if value:
            request(ctx, is_stream=is_stream)

    return click.option("--json", is_flag=True, expose_value=False, callback=request_if, help=text)


def request(ctx: click.Context, *, is_stream: bool = False) -> None:
    """Print JSON in place of text from now on."""
    output = _output(ctx)
    output.is_requested, output.is_stream = True, is_stream


def is_requested() -> bool:
    """Return whether the command that runs has to print JSON."""
    return _output(click.get_current_context()).is_requested


def print_text(text: str = "", *, nl: bool = True) -> None:
    """Print a text on standard output, unless JSON is requested."""
    if not is_requested():
        click.echo(text, nl=nl)


def set_result(value: object) -> None:
    """Set the value to print at the end if JSON is requested. A later one replaces it."""
    _output(click.get_current_context()).result = value


def print_json(ctx: click.Context, error: ErrorReport | None) -> None:
    """Print the result of a command, with the error that ended it, if JSON is requested."""
    output = _output(ctx)
    if not output.is_requested or (output.is_stream and error is None):
        return
    value = output.result
    if error is not None:
        value = _with_error(value, error)
    text = _encoded(value)
    click.echo(text if output.is_stream else msgspec.json.format(text))


def _with_error(value: object, error: ErrorReport) -> object:
    """Return a result with the field `error`. One that is a list has no fields and is returned."""
    fields = msgspec.json.decode(_encoded(value)) if value is not None else {}
    return {**fields, "error": error} if isinstance(fields, dict) else value


def _encoded(value: object) -> bytes:
    """Return a value as JSON. The bytes of a path that are no UTF-8 are escaped, as in messages."""
    try:
        return msgspec.json.encode(value)
    except UnicodeEncodeError:
        return msgspec.json.encode(_escaped(msgspec.to_builtins(value)))


def _escaped(value: object) -> object:
    match value:
        case str():
            return value.encode(errors="backslashreplace").decode()
        case list() | tuple():
            return [_escaped(each) for each in value]
        case dict():
            return {_escaped(key): _escaped(each) for key, each in value.items()}
    return value


def _output(ctx: click.Context) -> _Output:
    output: _Output = ctx.meta.setdefault(_KEY, _Output())
    return output
