"""`tunnelkeeper forward`: a tunnel from the command line, as `ssh -N -L`, that reconnects."""

from __future__ import annotations

import os
import shlex
import signal
import time
from typing import TYPE_CHECKING, Any, NamedTuple

import click

from tunnelkeeper.cli import launch
from tunnelkeeper.cli.answering import no_questions, person_at_terminal
from tunnelkeeper.cli.detached_forward import open_detached
from tunnelkeeper.cli.duration_option import Seconds, parse_duration
from tunnelkeeper.cli.forward_view import view_for
from tunnelkeeper.cli.held_forward import HeldForward, passed_seconds
from tunnelkeeper.cli.json_output import is_requested, json_option
from tunnelkeeper.cli.json_output import request as request_json
from tunnelkeeper.cli.message_output import print_failures, print_message
from tunnelkeeper.cli.settings import WORK_TIMEOUT, CommandError, OtherConfigError
from tunnelkeeper.cli.tunnel_options import (
    SSH_OPTIONS,
    ForwardRequest,
    TunnelCommand,
    check_name,
    read_table,
    spec_options,
)
from tunnelkeeper.control.client_errors import NoSupervisorError, RemoteError
from tunnelkeeper.control.jsonrpc import ErrorCode
from tunnelkeeper.core.exit_codes import ExitCode
from tunnelkeeper.presentation.formatting import format_duration

if TYPE_CHECKING:
    from tunnelkeeper.cli.forward_view import ForwardView
    from tunnelkeeper.cli.launch import Ask
    from tunnelkeeper.cli.settings import Settings
    from tunnelkeeper.control.client import Client
    from tunnelkeeper.core.first_connection import Reason
    from tunnelkeeper.core.secret import Secret
    from tunnelkeeper.core.snapshot import QuestionSnapshot, TunnelSnapshot

_NEW_NAME = click.types.StringParamType()  # of a new tunnel: no completion
_FORWARD_KEYS = ("local", "remote", "socks")

_EXAMPLES = """\b
Examples:
  tunnelkeeper forward relay -L 5432:db.internal:5432
  tunnelkeeper forward me@relay.example.com -D 1080 --for 2h --detach
  tunnelkeeper forward relay -L 5432:db.internal:5432 --keep db
"""

_RETRY_DELAY = 1.0
"""Seconds until the next try to receive the events of a tunnel."""

_ADVICE = {
    **{option: text for option, text in SSH_OPTIONS.items() if option not in {"-N", "-T"}},
    "-f": "write --detach, which leaves the tunnel to a supervisor in the background",
}


class ForwardCommand(TunnelCommand):
    """The command, with its own advice."""

    advice = _ADVICE


@click.command(cls=ForwardCommand, epilog=_EXAMPLES)
@click.argument("host", metavar="HOST")
@click.argument("words", metavar="[KEY=VALUE]...", nargs=-1)
@spec_options
@click.option("-N", "-T", "ignored", is_flag=True, help="Nothing: a tunnel runs no command.")
@click.option(
    "--for",
    "for_seconds",
    metavar="TIME",
    callback=parse_duration,
    help="End the tunnel after this long, such as 2h.",
)
@click.option("--detach", is_flag=True, help="Leave the tunnel to a supervisor; return when up.")
@click.option("--name", metavar="NAME", type=_NEW_NAME, help="Its name. Default: from the host.")
@click.option(
    "--keep",
    metavar="NAME",
    type=_NEW_NAME,
    help="As --detach. Write it into the config file when it is up.",
)
@click.option(
    "--timeout",
    metavar="S",
    type=Seconds(),
    help="Give up if it is not up after this many seconds. Default: never; with --detach 30.",
)
@no_questions
@json_option(
    "Print the tunnel as JSON: a line for each change, or once with --detach.", is_stream=True
)
@click.pass_obj
def command(
    settings: Settings,
    /,
    host: str,
    words: tuple[str, ...],
    for_seconds: float | None,
    keep: str | None,
    **options: Any,
) -> int:
    """Open a tunnel that is in no config file, as `ssh -N` does, and reconnect it.

    HOST and KEY=VALUE are those of `add`. It ends with this command, unless --detach leaves it to a
    supervisor. A running supervisor holds it, so that `status` and the dashboard show it.
    """
    table = read_table(host, {key: options[key] for key in _FORWARD_KEYS}, words)
    if not any(table.get(key) for key in _FORWARD_KEYS):
        call = shlex.join(["tunnelkeeper", "forward", host, *words, "-L", "5432:localhost:5432"])
        raise CommandError("there is nothing to forward", ExitCode.USAGE, call)
    if keep is not None and (for_seconds is not None or options["name"] is not None):
        raise CommandError(
            "--keep goes with neither --for nor --name",
            ExitCode.USAGE,
            "--keep NAME names the tunnel, and a tunnel of the config file has no end",
        )
    for option, name in (("--name", options["name"]), ("--keep", keep)):
        if name is not None:
            check_name(name, option)
    request = ForwardRequest(
        table,
        keep if keep is not None else options["name"],
        for_seconds,
        options["timeout"],
        asks=not (options["batch"] or is_requested()),
    )
    if options["detach"] or keep is not None:
        if is_requested():
            request_json(click.get_current_context())  # one value, not a line for each change
        return open_detached(settings, request, is_kept=keep is not None)
    return _run(settings, request)


def _run(settings: Settings, request: ForwardRequest) -> int:
    """Hold the tunnel until this command ends: in the supervisor, or in this process."""
    held = _open_held(settings, request)
    tunnel: TunnelSnapshot | None
    view = view_for(os.environ, as_json=is_requested(), asks=request.asks)
    try:
        if held is None:
            reason, tunnel = launch.forward(
                settings.config,
                request.name,
                request.table,
                request.for_seconds,
                request.timeout,
                view,
                _person(view) if request.asks else None,
            )
        else:
            with held.client:
                reason, tunnel = _follow(settings, held, request, view)
    finally:
        view.close()
    return _report(reason, tunnel, request)


def _person(view: ForwardView) -> Ask | None:
    """Return the function that asks the person at the terminal while nothing else is shown."""
    ask = person_at_terminal()
    if ask is None:
        return None

    def ask_alone(question: QuestionSnapshot, watched: int) -> list[Secret] | None:
        with view.paused():
            return ask(question, watched)

    return ask_alone


class _Held(NamedTuple):
    """A tunnel that a supervisor holds as long as the connection of the client lasts."""

    client: Client
    name: str


def _open_held(settings: Settings, request: ForwardRequest) -> _Held | None:
    """Open the tunnel in the supervisor. Return None if none runs, or an older one.

    Raises RemoteError if it is refused.
    """
    try:
        client = settings.client_for_config(WORK_TIMEOUT)
    except (NoSupervisorError, OtherConfigError):
        return None
    try:
        opened = client.open(request.table, request.name, request.for_seconds, bound=True)
    except BaseException as error:
        client.close()
        is_older = isinstance(error, RemoteError) and error.code == ErrorCode.METHOD_NOT_FOUND
        if is_older or isinstance(error, NoSupervisorError):
            return None
        raise
    for warning in opened.warnings:
        print_message(f"warning: {warning}")
    return _Held(client, opened.name)


def _follow(
    settings: Settings, held: _Held, request: ForwardRequest, view: ForwardView
) -> tuple[Reason, TunnelSnapshot | None]:
    """Show the tunnel until it ends or has to."""
    seconds = request.for_seconds
    ends_at = None if seconds is None else passed_seconds() + seconds
    forward = HeldForward(held.client, held.name, view)
    while True:
        try:
            with settings.client() as follower:
                follower.call("subscribe")
                return forward.run(follower, request.timeout, ends_at, asks=request.asks)
        except NoSupervisorError:
            _check_supervisor(held)
            time.sleep(_RETRY_DELAY)  # it may be the file of the socket that is gone


def _check_supervisor(held: _Held) -> None:
    """Check that the supervisor still holds the tunnel.

    If this process was stopped for so long that events piled up, it has lost only the connection
    that receives them. Raises CommandError.
    """
    try:
        held.client.version()
    except NoSupervisorError as error:
        message = f"the supervisor has ended, and the tunnel {held.name} with it"
        raise CommandError(message, ExitCode.NO_SUPERVISOR) from error


def _report(reason: Reason, tunnel: TunnelSnapshot | None, request: ForwardRequest) -> int:
    """Say why the tunnel has ended, unless the person has ended it. Return the exit code."""
    name = tunnel.name if tunnel is not None else "the tunnel"
    if tunnel is not None and reason != "stopped" and not tunnel.ad_hoc:
        print_message(f"{name} is in the config file now, and stays", f"tunnelkeeper stop {name}")
    match reason:
        case "interrupted":
            return ExitCode.INTERRUPTED
        case "terminated":
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
            os.kill(os.getpid(), signal.SIGTERM)
        case "time_passed":
            after = format_duration(request.for_seconds or 0)
            click.echo(f"{name} has ended after {after}", err=True)
        case "stopped":
            click.echo(f"{name} was stopped by another command", err=True)
        case "failed" | "timed_out" if tunnel is not None:
            print_failures(tunnel)
    if reason == "timed_out":
        raise TimeoutError(f"{name} is not up within {request.timeout:g} s")
    return ExitCode.FAILED if reason == "failed" else ExitCode.OK
