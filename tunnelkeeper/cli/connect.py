"""`tunnelkeeper connect`: stdin and stdout to a target through a tunnel's connection (ssh -W)."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click

from tunnelkeeper.cli import launch, stdio
from tunnelkeeper.cli.settings import WORK_TIMEOUT
from tunnelkeeper.control.client import NoSupervisorError, RemoteError
from tunnelkeeper.control.jsonrpc import ErrorCode
from tunnelkeeper.core.exit_codes import ExitCode
from tunnelkeeper.core.forward_spec import SpecError, parse_target

if TYPE_CHECKING:
    import socket

    from tunnelkeeper.cli.settings import Settings


@click.command()
@click.argument("reference", metavar="NAME|HOST")
@click.argument("target", metavar="HOST:PORT")
@click.pass_obj
def command(settings: Settings, reference: str, target: str) -> int:
    """Carry stdin and stdout to HOST:PORT, as seen from the server; for ProxyCommand.

    Through the tunnel NAME where a supervisor holds it, else through a connection of its own.
    """
    try:
        parse_target(target)
    except SpecError as error:
        raise click.BadParameter(str(error), param_hint="HOST:PORT") from error
    try:
        with settings.client() as client:
            _pump(*client.connect(reference, target, WORK_TIMEOUT))
    except NoSupervisorError:
        return launch.connect(settings.config, reference, target, _pump)
    except RemoteError as error:
        if error.code != ErrorCode.NOT_FOUND:
            raise
        return launch.connect(settings.config, reference, target, _pump)
    return ExitCode.OK


def _pump(sock: socket.socket, early: bytes = b"") -> None:
    """Carry a socket to this process's stdin and stdout, and close it."""
    with sock:
        stdio.carry(sock, early, sys.stdin.fileno(), sys.stdout.fileno())
