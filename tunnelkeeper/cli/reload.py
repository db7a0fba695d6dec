"""`tunnelkeeper reload`: have the supervisor read its config file again."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click
import msgspec

from tunnelkeeper.cli.settings import WORK_TIMEOUT
from tunnelkeeper.control.client import RemoteError
from tunnelkeeper.core.exit_codes import ExitCode

if TYPE_CHECKING:
    from tunnelkeeper.cli.settings import Settings


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print what changed, or the problems.")
@click.pass_obj
def command(settings: Settings, as_json: bool) -> int:
    """Read the config file again and touch only what changed; a bad file changes nothing."""
    with settings.client(WORK_TIMEOUT) as client:
        try:
            changes = client.reload()
        except RemoteError as error:
            if as_json:
                _print_json([], error.problems or [error.message])
            raise
    if as_json:
        _print_json(changes, [])
    else:
        click.echo("\n".join(changes) if changes else "nothing changed")
    return ExitCode.OK


def _print_json(changes: list[str], problems: list[str]) -> None:
    click.echo(msgspec.json.encode({"changes": changes, "problems": problems}))
