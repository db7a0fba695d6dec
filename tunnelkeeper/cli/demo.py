"""`tunnelkeeper demo`: a tunnel of every kind on loopback, to try or to prove."""

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
@click.option("--check", is_flag=True, help="Prove that all work and come back, then end.")
def command(check: bool) -> int:
    """Run a relay, a web server and a tunnel of every kind on loopback, with throwaway keys.

    It says what to try and opens the dashboard on it; without a terminal it waits for Ctrl-C.
    Nothing is left behind. With --check it sends data through each tunnel, cuts the relay once and
    sees each come back; the exit code is 1 when one does not.
    """
    # All that is needed, before the person is told of Ctrl-C: one that comes while an import makes
    # its dataclasses has CPython end the process by the signal, whoever caught it.
    from tunnelkeeper.demo import play
    from tunnelkeeper.demo.processes import DemoError

    try:
        if check:
            return ExitCode.OK if play.check(click.echo) else ExitCode.FAILED
        play.show(click.echo, dashboard.show_demo if dashboard.is_possible() else _wait)
    except DemoError as failed:
        raise CommandError(f"the demo cannot be shown: {failed}") from failed
    except KeyboardInterrupt:
        click.echo()
    click.echo("ended; nothing is left behind")
    return ExitCode.OK


def _wait(_socket: Path, _tries: tuple[str, ...]) -> None:
    """Until Ctrl-C."""
    threading.Event().wait()
