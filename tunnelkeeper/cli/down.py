"""`tunnelkeeper down`: stop tunnels, or the supervisor and see it gone."""

from __future__ import annotations

import fcntl
import os
import time
from typing import TYPE_CHECKING

import click

from tunnelkeeper import paths
from tunnelkeeper.cli.settings import WORK_TIMEOUT, listed, selection
from tunnelkeeper.control.client import NoSupervisorError
from tunnelkeeper.core.exit_codes import ExitCode

if TYPE_CHECKING:
    from pathlib import Path

    from tunnelkeeper.cli.settings import Settings
    from tunnelkeeper.control.client import Client

END_TIMEOUT = 10.0
"""Seconds for the supervisor to end; it takes five at most."""

_LOOK_AGAIN = 0.02


@click.command()
@selection
@click.pass_obj
def command(settings: Settings, names: tuple[str, ...], group: str | None) -> int:
    """Stop tunnels; without a NAME or a group, the supervisor with all of them."""
    with settings.client(WORK_TIMEOUT) as client:
        if names or group is not None:
            stopped = client.stop(list(names), group)
            click.echo(f"stopped {listed(stopped)}")
        else:
            _end(client, settings.socket, time.monotonic() + END_TIMEOUT)
            click.echo("the supervisor has ended")
    return ExitCode.OK


def _end(client: Client, socket: Path, deadline: float) -> None:
    """Shut the supervisor down; back when its socket is gone and its lock is free.

    Raises TimeoutError at the deadline.
    """
    try:
        client.shutdown()
        for _ in client.events(deadline):
            pass
    except NoSupervisorError:
        pass  # it closed the connection, as it should
    # A lock that becomes free tells nobody, so the last moments are looked at again and again.
    while socket.exists() or _is_held(paths.lock_path(socket)):
        if time.monotonic() > deadline:
            raise TimeoutError(
                f"the supervisor at {socket} has not ended within {END_TIMEOUT:.0f}s"
            )
        time.sleep(_LOOK_AGAIN)


def _is_held(lock: Path) -> bool:
    """Whether a supervisor holds its lock file (flock(2))."""
    try:
        descriptor = os.open(lock, os.O_RDONLY)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False
