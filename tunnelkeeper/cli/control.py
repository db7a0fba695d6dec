"""`tunnelkeeper down`, `restart` and `reload`: requests that the running supervisor carries out."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import click

from tunnelkeeper import paths
from tunnelkeeper.cli.answering import asking, no_questions
from tunnelkeeper.cli.help_text import TunnelsCommand
from tunnelkeeper.cli.json_output import is_requested, json_option, print_text, set_result
from tunnelkeeper.cli.message_output import print_sentence
from tunnelkeeper.cli.names import expand_names
from tunnelkeeper.cli.results import Reloaded, Restarted, Stopped
from tunnelkeeper.cli.settings import WORK_TIMEOUT, join_names, tunnel_selection
from tunnelkeeper.cli.up import print_results
from tunnelkeeper.cli.usage_hints import HintedUsageError
from tunnelkeeper.cli.wait import NO_ANSWERS, SETTLE_TIMEOUT, is_settled, wait_until
from tunnelkeeper.control import lock_files
from tunnelkeeper.control.client_errors import NoSupervisorError, RemoteError
from tunnelkeeper.core.exit_codes import ExitCode
from tunnelkeeper.core.message import Message
from tunnelkeeper.systemd import systemctl

if TYPE_CHECKING:
    from tunnelkeeper.cli.settings import Settings
    from tunnelkeeper.control.client import Client

END_TIMEOUT = 10.0
"""Seconds for the supervisor to end. It takes at most five."""

_POLL_INTERVAL = 0.02


_DOWN_EXAMPLES = """\b
Examples:
  tunnelkeeper down                  # the supervisor with all tunnels
  tunnelkeeper down db 'eu-*'
  tunnelkeeper down --group work
"""


@click.command(cls=TunnelsCommand, epilog=_DOWN_EXAMPLES)
@tunnel_selection
@json_option("Print what was stopped as JSON.")
@click.pass_obj
def down(settings: Settings, names: tuple[str, ...], group: str | None) -> int:
    """Stop tunnels; without a NAME or a group, the supervisor with all of them."""
    with settings.client_for_config(WORK_TIMEOUT) as client:
        if names or group is not None:
            stopped = client.stop(expand_names(client, names), group)
            print_sentence(f"stopped {join_names(stopped)}")
            set_result(Stopped(stopped))
        else:
            service = systemctl.service_of(client.version().pid)
            _shut_down(client, time.monotonic() + END_TIMEOUT)
            print_text("the supervisor has ended")
            set_result(Stopped(supervisor_ended=True))
            if service is not None and service.restarts:
                hint = service.stop_command
                print_text(str(Message(f"systemd will start {service.name} again", hint)))
                set_result(Stopped([], True, service.name, hint))
    return ExitCode.OK


_RESTART_EXAMPLES = """\b
Examples:
  tunnelkeeper restart db
  tunnelkeeper restart 'eu-*' --graceful
"""


@click.command(cls=TunnelsCommand, epilog=_RESTART_EXAMPLES)
@tunnel_selection
@click.option("--graceful", is_flag=True, help="Connect first, and let open transfers finish.")
@no_questions
@json_option("Print what restarts as JSON, and return at once.")
@click.pass_obj
def restart(
    settings: Settings, names: tuple[str, ...], group: str | None, graceful: bool, batch: bool
) -> int:
    """Close tunnels and reconnect at once. This ends a wait for the next attempt too.

    On a terminal it asks what a login needs to know, and waits until the tunnels have settled.
    """
    if not names and group is None:
        message = "name the tunnels to restart, or a group with --group"
        raise HintedUsageError(message, "tunnelkeeper restart NAME")
    with settings.client_for_config(WORK_TIMEOUT) as client:
        restarted = client.restart(expand_names(client, names), group, graceful=graceful)
        print_sentence(f"restarting {join_names(restarted)}{' gracefully' if graceful else ''}")
        set_result(Restarted(restarted, graceful))
        with asking(client, restarted, asks=not (batch or is_requested())) as answers:
            if answers is NO_ANSWERS:
                return ExitCode.OK
            deadline = time.monotonic() + SETTLE_TIMEOUT
            return print_results(wait_until(client, restarted, is_settled, deadline, answers))


_RELOAD_EXAMPLES = """\b
Examples:
  tunnelkeeper reload
  tunnelkeeper reload --json
"""


@click.command(cls=TunnelsCommand, epilog=_RELOAD_EXAMPLES)
@json_option("Print the changes, or the problems, as JSON.")
@click.pass_obj
def reload(settings: Settings) -> int:
    """Read the config file again and apply its changes; a bad file changes nothing."""
    with settings.client_for_config(WORK_TIMEOUT) as client:
        try:
            changes = client.reload()
        except RemoteError as error:
            problems = error.problems or (Message(error.message, error.hint),)
            texts, hints = [each.text for each in problems], [each.hint for each in problems]
            set_result(Reloaded([], texts, hints))
            raise
    set_result(Reloaded(changes))
    print_text("\n".join(changes) if changes else "nothing changed")
    return ExitCode.OK


def _shut_down(client: Client, deadline: float) -> None:
    """Shut the supervisor down. Return when its socket is gone and its lock is free.

    Raises TimeoutError at the deadline.
    """
    try:
        client.shutdown()
        for _ in client.events(deadline):
            pass
    except NoSupervisorError:
        pass  # it has closed the connection, as expected
    socket = client.path
    # Nothing reports that a lock becomes free, so the last moments are polled.
    while socket.exists() or lock_files.is_locked(paths.lock_path(socket)):
        if time.monotonic() > deadline:
            raise TimeoutError(
                f"the supervisor at {socket} has not ended within {END_TIMEOUT:.0f}s"
            )
        time.sleep(_POLL_INTERVAL)
