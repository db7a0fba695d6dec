"""`tunnelkeeper demo`: a tunnel of every kind on loopback, to try or to check."""

from __future__ import annotations

import signal
import sys
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

import click

from tunnelkeeper.cli import dashboard
from tunnelkeeper.cli.settings import CommandError
from tunnelkeeper.core.exit_codes import ExitCode

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path
    from types import FrameType


_EXAMPLES = """\b
Examples:
  tunnelkeeper demo
  tunnelkeeper demo --check
"""


@click.command(epilog=_EXAMPLES)
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
        with _exit_on_signals():
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


@contextmanager
def _exit_on_signals() -> Iterator[None]:
    """Raise SystemExit at SIGTERM and SIGHUP, so that the demo removes everything first.

    A closed terminal sends SIGHUP. If it is ignored (nohup), it stays ignored.
    """
    signals = [s for s in (signal.SIGTERM, signal.SIGHUP) if signal.getsignal(s) != signal.SIG_IGN]

    def exit_once(number: int, _frame: FrameType | None) -> None:
        for each in signals:  # a second signal must not interrupt the removal
            signal.signal(each, signal.SIG_IGN)
        sys.exit(128 + number)

    before = {each: signal.signal(each, exit_once) for each in signals}
    try:
        yield
    finally:
        for each, handler in before.items():
            signal.signal(each, handler)
