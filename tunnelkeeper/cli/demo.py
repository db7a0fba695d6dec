"""`tunnelkeeper demo`: a tunnel of every kind on loopback, to try or to check."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import click

from tunnelkeeper.cli import dashboard
from tunnelkeeper.cli.settings import CommandError
from tunnelkeeper.core.exit_codes import ExitCode

if TYPE_CHECKING:
    from pathlib import Path


@click.command()
@click.option("--check", is_flag=True, help="Check that all work and reconnect, then end.")
def command(check: bool) -> int:
    """Run a relay, a web server and a tunnel of every kind on loopback, with throwaway keys.

    It prints commands to try and opens the dashboard; without a terminal it waits for Ctrl-C. It
    removes everything at the end. With --check it sends data through each tunnel, cuts the relay
    once and checks that each reconnects; the exit code is 1 if one does not.
    """
    # Import everything before Ctrl-C is announced: CPython ends the process by the signal if it
    # arrives while an import creates its dataclasses, even if the exception is caught.
    from tunnelkeeper.demo import runner
    from tunnelkeeper.demo.processes import DemoError

    try:
        if check:
            return ExitCode.OK if runner.run_check(click.echo) else ExitCode.FAILED
        runner.run_interactive(
            click.echo, dashboard.show_demo if dashboard.has_terminal() else _wait_for_interrupt
        )
    except DemoError as failed:
        raise CommandError(f"the demo cannot be shown: {failed}") from failed
    except KeyboardInterrupt:
        click.echo()
    click.echo("ended; everything is removed")
    return ExitCode.OK


def _wait_for_interrupt(_socket: Path, _tries: tuple[str, ...]) -> None:
    """Wait until Ctrl-C."""
    threading.Event().wait()
