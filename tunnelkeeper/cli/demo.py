"""`tunnelkeeper demo`: a tunnel of every kind on loopback, to try or to prove."""

from __future__ import annotations

import click

from tunnelkeeper.cli.failed import Failed
from tunnelkeeper.core.exits import Exit


@click.command()
@click.option("--check", is_flag=True, help="Prove that all work and come back, then end.")
def command(check: bool) -> int:
    """Run a relay, a web server and a tunnel of every kind on loopback, with throwaway keys.

    It prints what to try and shows the status until Ctrl-C, and leaves nothing behind. With
    --check it sends data through each tunnel, cuts the relay once and sees each come back; the
    exit code is 1 when one does not.
    """
    # All that is needed, before the person is told of Ctrl-C: one that comes while an import makes
    # its dataclasses has CPython end the process by the signal, whoever caught it.
    from tunnelkeeper.cli import demo_screen
    from tunnelkeeper.demo import play
    from tunnelkeeper.demo.processes import DemoFailed

    try:
        if check:
            return Exit.DONE if play.check(click.echo) else Exit.NOT_SO
        play.show(click.echo, demo_screen.watch)
    except DemoFailed as failed:
        raise Failed(f"the demo cannot be shown: {failed}") from failed
    except KeyboardInterrupt:
        click.echo("\nended; nothing is left behind")
    return Exit.DONE
