"""`tunnelkeeper up`: run the supervisor, start one in the background, or use the running one."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import TYPE_CHECKING, get_args

import click

from tunnelkeeper import paths
from tunnelkeeper.cli import background, launch, wait
from tunnelkeeper.cli.answering import asking, asking_beside, no_questions
from tunnelkeeper.cli.help_text import TunnelsCommand
from tunnelkeeper.cli.json_output import is_requested, json_option, print_text, set_result
from tunnelkeeper.cli.message_output import print_failures, print_message, print_sentence
from tunnelkeeper.cli.names import expand, expand_names
from tunnelkeeper.cli.results import Started
from tunnelkeeper.cli.settings import CommandError, join_names, tunnel_selection
from tunnelkeeper.cli.wait import settle_timeout
from tunnelkeeper.config import ConfigError, load
from tunnelkeeper.control.client_errors import ForeignSocketError, NoSupervisorError, RemoteError
from tunnelkeeper.control.jsonrpc import ErrorCode
from tunnelkeeper.core.exit_codes import ExitCode
from tunnelkeeper.core.name_patterns import is_pattern
from tunnelkeeper.systemd.notify import is_waiting
from tunnelkeeper.systemd.unit_templates import Ready

if TYPE_CHECKING:
    from tunnelkeeper.cli.settings import Settings
    from tunnelkeeper.control.client import Client
    from tunnelkeeper.core.snapshot import TunnelSnapshot


_EXAMPLES = """\b
Examples:
  tunnelkeeper up --detach           # all tunnels, in the background
  tunnelkeeper up db 'eu-*'
  tunnelkeeper up --detach --json
"""


@click.command(cls=TunnelsCommand, epilog=_EXAMPLES)
@tunnel_selection
@click.option(
    "--detach", is_flag=True, help="Run in the background; return when the tunnels are up."
)
@settle_timeout("With --detach or a running supervisor: wait at most this many seconds.")
@click.option("--no-wait", is_flag=True, help="Do not wait until a running supervisor is done.")
@no_questions
@click.option(
    "--ready",
    type=click.Choice(get_args(Ready)),
    default="tried",
    show_default=True,
    help="When to report readiness to a service manager: each tried once, or all up.",
)
@click.option(
    "--log-file", metavar="FILE", help="Write the log to this file, which is rotated by size."
)
@click.option("--no-tunnels", is_flag=True, help="Start none, for those that `forward` opens.")
@json_option("Print the tunnels as JSON; with --detach or a running supervisor.")
@click.pass_obj
def command(
    settings: Settings,
    names: tuple[str, ...],
    *,
    group: str | None,
    detach: bool,
    timeout: float,
    no_wait: bool,
    batch: bool,
    ready: Ready,
    log_file: str | None,
    no_tunnels: bool,
) -> int:
    """Hold tunnels up; without a NAME or a group, all with autostart.

    A running supervisor is asked to start them. Then, and with --detach, the exit code is 1 if one
    of them is not up, and the reason is printed. What a login needs to know, such as a passphrase,
    is asked on the terminal.
    """
    deadline = time.monotonic() + timeout
    log = None if log_file is None else background.named_log(log_file)
    if no_tunnels:
        if names or group is not None or detach:
            raise click.UsageError("--no-tunnels: expected no names, no group and no --detach")
        return launch.run_without_tunnels(settings.config, settings.socket, log)
    asks = not (batch or is_requested())
    if is_waiting(os.environ) and not (detach or is_requested()):
        # A service manager expects this process to be the supervisor, or else to fail.
        return _run(settings, names, group, ready, log, asks=False)
    try:
        client = running_supervisor(settings)
    except ForeignSocketError as error:
        raise CommandError(str(error), hint=error.hint) from error
    except NoSupervisorError:
        if not detach and is_requested():
            raise CommandError(
                "no supervisor is running, and --json needs --detach to start one",
                ExitCode.USAGE,
                "tunnelkeeper up --detach --json",
            ) from None
        if not detach:
            return _run(settings, names, group, ready, log, asks=asks)
        tunnels = start_in_background(settings, names, group, deadline, asks=asks, log_file=log)
        set_result(Started(list(tunnels.values()), supervisor_started=True))
        return print_results(tunnels)
    with client:
        names = tuple(expand_names(client, names))
        started = _start(settings, client, names, group)
        if not no_wait:
            tunnels = wait_until_settled(client, started, deadline, asks=asks)
            set_result(Started(list(tunnels.values()), supervisor_started=False))
            return print_results(tunnels)
        set_result(Started(client.status(started).tunnels, supervisor_started=False))
    print_text(f"a supervisor is running already; it was asked to start {join_names(started)}")
    return ExitCode.OK


def _run(
    settings: Settings,
    names: tuple[str, ...],
    group: str | None,
    ready: Ready,
    log_file: Path | None,
    *,
    asks: bool,
) -> int:
    """Run the supervisor in this process. Return its exit code."""
    if any(map(is_pattern, names)):
        try:
            names = _expand_from_file(settings, names)
        except ConfigError as error:
            raise _nothing_started(error) from error
    with asking_beside(settings.socket, asks=asks) as on_started:
        return launch.run(
            settings.config, settings.socket, names, group, ready, on_started, log_file
        )


def _expand_from_file(settings: Settings, words: tuple[str, ...]) -> tuple[str, ...]:
    """Return the names that words stand for in the config file.

    Raises ConfigError, CommandError.
    """
    tunnels = load(settings.config).tunnels  # problems of the file are printed here, not in a log
    return tuple(expand(words, lambda: tunnels))


def _nothing_started(error: ConfigError) -> CommandError:
    message = "the config file has problems; nothing was started"
    return CommandError(message, ExitCode.USAGE, problems=error.messages)


def running_supervisor(settings: Settings) -> Client:
    """Return a client of a supervisor that has answered.

    Raises ForeignSocketError, NoSupervisorError, OtherConfigError, OSError.
    """
    client = settings.client_for_config()
    try:
        client.version()
    except BaseException:
        client.close()
        raise
    return client


def _start(
    settings: Settings, client: Client, names: tuple[str, ...], group: str | None
) -> list[str]:
    """Ask the supervisor to start tunnels. Return their names.

    Raises CommandError if the config file has an unknown name by now, else RemoteError.
    """
    try:
        return client.start(list(names), group)
    except RemoteError as error:
        if error.code != ErrorCode.NOT_FOUND:
            raise
        held = Path(client.status().supervisor.config)
        try:
            tunnels = load(held).tunnels
        except ConfigError:
            raise error from None
        groups = {each for tunnel in tunnels.values() for each in tunnel.groups}
        if not tunnels.keys() >= set(names) or group not in {None, *groups}:
            raise
        problem = f"{held} has changed since the supervisor read it; nothing was started"
        raise CommandError(problem, ExitCode.NOT_FOUND, "tunnelkeeper reload") from error


def start_in_background(
    settings: Settings,
    names: tuple[str, ...],
    group: str | None,
    deadline: float,
    *,
    asks: bool,
    log_file: Path | None = None,
) -> dict[str, TunnelSnapshot]:
    """Start a supervisor, and wait until its tunnels have settled. Return them.

    log_file: where its log goes; None for a file in the state folder.
    """
    try:
        names = _expand_from_file(settings, names)
    except ConfigError as error:
        raise _nothing_started(error) from error
    log = log_file or default_log(settings)
    arguments = launch.command_line(settings.config, settings.socket, names, group, log)
    started = background.start(arguments, log)
    try:
        with started.client(settings.socket, deadline) as client:
            # It starts them by itself. This request returns their names.
            started_names = client.start(list(names), group)
            return wait_until_settled(client, started_names, deadline, asks=asks)
    except NoSupervisorError:
        raise started.start_error() from None


def default_log(settings: Settings) -> Path | None:
    """Return the log file for a new supervisor; None with a warning if it cannot be written."""
    log = background.log_for(settings.socket, os.environ)
    if log is None:
        text = f"warning: the log cannot be written to {paths.log_path(os.environ)}"
        print_message(text, "`tunnelkeeper logs` has the newest lines")
    return log


def wait_until_settled(
    client: Client, names: list[str], deadline: float, *, asks: bool
) -> dict[str, TunnelSnapshot]:
    """Wait until each tunnel has settled. Return them.

    asks: whether to ask what the tunnels need to know, if there is a terminal.
    """
    with asking(client, names, asks=asks) as answers:
        return wait.wait_until(client, names, wait.is_settled, deadline, answers)


def print_results(tunnels: dict[str, TunnelSnapshot]) -> int:
    """Print which tunnels are up, and why others are not. Return the exit code."""
    up = [tunnel.name for tunnel in tunnels.values() if tunnel.state == "up"]
    late = [tunnel for tunnel in tunnels.values() if tunnel.state != "up"]
    if up or not late:
        print_sentence(f"up: {join_names(up)}")
    for tunnel in late:
        print_failures(tunnel)
    return ExitCode.FAILED if late else ExitCode.OK
