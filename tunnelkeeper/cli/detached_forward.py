"""`tunnelkeeper forward --detach` and `--keep`: a tunnel that a supervisor holds afterwards."""

from __future__ import annotations

import time
from contextlib import contextmanager, nullcontext, suppress
from typing import TYPE_CHECKING

from tunnelkeeper.cli import background, config_change, launch
from tunnelkeeper.cli.add import refuse_other_supervisor, write_tunnel
from tunnelkeeper.cli.answering import asking
from tunnelkeeper.cli.json_output import print_text, set_result
from tunnelkeeper.cli.message_output import print_failures, print_message
from tunnelkeeper.cli.results import Forwarded
from tunnelkeeper.cli.settings import WORK_TIMEOUT, CommandError
from tunnelkeeper.cli.up import default_log
from tunnelkeeper.cli.wait import SETTLE_TIMEOUT, is_settled, wait_until
from tunnelkeeper.config import ConfigError, load
from tunnelkeeper.config.starter import HEADER
from tunnelkeeper.control.client_errors import NoSupervisorError, RemoteError
from tunnelkeeper.control.jsonrpc import ErrorCode, ProtocolError
from tunnelkeeper.core.exit_codes import ExitCode
from tunnelkeeper.core.first_connection import cannot_come_up, has_come_up
from tunnelkeeper.presentation.formatting import format_duration
from tunnelkeeper.presentation.forward_text import forward_lines

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tunnelkeeper.cli.settings import Settings
    from tunnelkeeper.cli.tunnel_options import ForwardRequest
    from tunnelkeeper.control.client import Client
    from tunnelkeeper.core.snapshot import TunnelSnapshot


def open_detached(settings: Settings, request: ForwardRequest, *, is_kept: bool) -> int:
    """Open a tunnel in a supervisor, and wait until it has settled. Return the exit code.

    is_kept: whether to write it into the config file when it is up.
    """
    deadline = time.monotonic() + (SETTLE_TIMEOUT if request.timeout is None else request.timeout)
    if is_kept:
        _refuse_to_keep(settings, request.name or "")
    kept_in, is_over = None, False
    with _supervisor(settings, deadline) as client:
        was_open = is_kept and _is_open(client, request.name)
        name = (request.name or "") if was_open else _open(client, request, is_kept=is_kept)
        # What another command has opened stays open, whatever becomes of this one.
        with nullcontext() if was_open else _stopped_on_error(client, name):
            tunnel = _wait(client, name, deadline, asks=request.asks)
            if is_kept and has_come_up(tunnel):
                open_table = client.table(name)
                write_tunnel(settings.config, name, request.table, open_table)
                kept_in = str(settings.config)
        if kept_in is not None:
            tunnel = _take_over(settings, client, name)
        elif not was_open and (is_kept or cannot_come_up(tunnel)):
            client.stop([name])
            is_over = True
    set_result(Forwarded([tunnel], kept_in))
    if has_come_up(tunnel):
        _print_open(tunnel, request.for_seconds, is_kept=is_kept)
        return ExitCode.OK
    print_failures(tunnel)
    if tunnel.wanted and not is_over:
        print_message(f"{tunnel.name} tries again", f"tunnelkeeper stop {tunnel.name}")
    return ExitCode.FAILED


def _refuse_to_keep(settings: Settings, name: str) -> None:
    """Raise CommandError if a tunnel could not be kept, before it is opened."""
    refuse_other_supervisor(settings)
    try:
        is_taken = settings.config.exists() and name in load(settings.config).tunnels
    except ConfigError as error:
        raise config_change.invalid_file_error(error.problems) from error
    if is_taken:
        path = config_change.shown(settings.config)
        raise CommandError(
            f"--keep: {path} has a tunnel {name} already",
            ExitCode.USAGE,
            "choose another name",
        )


@contextmanager
def _supervisor(settings: Settings, deadline: float) -> Iterator[Client]:
    """Connect to the supervisor, or start one. It ends with the body if nothing was opened."""
    try:
        client = settings.client_for_config(WORK_TIMEOUT)
    except NoSupervisorError:
        pass
    else:
        with client:
            yield client
        return
    _create_config_file(settings)
    log = default_log(settings)
    arguments = launch.command_line(
        settings.config, settings.socket, (), None, log, no_tunnels=True
    )
    started = background.start(arguments, log)
    with started.client(settings.socket, deadline) as client:
        try:
            yield client
        except NoSupervisorError:
            raise started.start_error() from None
        except BaseException:
            with suppress(NoSupervisorError, RemoteError, ProtocolError, OSError):
                if not any(tunnel.wanted for tunnel in client.status().tunnels):
                    client.shutdown()
            raise


def _create_config_file(settings: Settings) -> None:
    """Create the config file if it does not exist: a supervisor needs one.

    Raises CommandError.
    """
    from tunnelkeeper.importing import config_file

    path = settings.config
    if path.exists():
        try:
            load(path)
        except ConfigError as error:  # printed here, not in a log
            message = "the config file has problems; the tunnel was not opened"
            raise CommandError(message, ExitCode.USAGE, problems=error.messages) from error
        return
    with config_change.changing(path) as file:
        if not path.exists():
            config_file.write(file, HEADER)
            print_message(f"created {config_change.shown(path)}, which has no tunnels yet")


def _is_open(client: Client, name: str | None) -> bool:
    """Return whether an ad-hoc tunnel of this name is open."""
    return any(tunnel.ad_hoc and tunnel.name == name for tunnel in client.status().tunnels)


def _open(client: Client, request: ForwardRequest, *, is_kept: bool) -> str:
    """Open the tunnel. Return its name. Raises RemoteError, CommandError."""
    if is_kept and client.status().supervisor.config_changed:
        client.reload()  # else the tunnel would have other settings in the file
    try:
        opened = client.open(request.table, request.name, request.for_seconds)
    except RemoteError as error:
        if error.code != ErrorCode.METHOD_NOT_FOUND:
            raise
        raise CommandError(
            "the running supervisor is of an older version, which opens no tunnels",
            hint="end it with `tunnelkeeper down`, and start it again",
        ) from error
    for warning in opened.warnings:
        print_message(f"warning: {warning}")
    return opened.name


@contextmanager
def _stopped_on_error(client: Client, name: str) -> Iterator[None]:
    """Stop a tunnel if the body fails or is interrupted."""
    try:
        yield
    except BaseException:
        with suppress(NoSupervisorError, RemoteError, ProtocolError, OSError):
            client.stop([name])
        raise


def _wait(client: Client, name: str, deadline: float, *, asks: bool) -> TunnelSnapshot:
    """Wait until a tunnel has settled. Raises CommandError."""

    def holds(tunnel: TunnelSnapshot) -> bool:
        return has_come_up(tunnel) or cannot_come_up(tunnel) or is_settled(tunnel)

    with asking(client, [name], asks=asks) as answers:
        seen = wait_until(client, [name], holds, deadline, answers)
    if name not in seen:
        raise CommandError(f"{name} was stopped by another command")
    return seen[name]


def _take_over(settings: Settings, client: Client, name: str) -> TunnelSnapshot:
    """Let the supervisor take the tunnel over from the config file, which has it now."""
    reloaded = config_change.reload_supervisor(settings)
    if reloaded is not None:
        reloaded[0].close()
    [tunnel] = client.status([name]).tunnels
    return tunnel


def _print_open(tunnel: TunnelSnapshot, for_seconds: float | None, *, is_kept: bool) -> None:
    """Print where a tunnel listens, and when it ends."""
    print_text(f"up: {tunnel.name}")
    for line in forward_lines(tunnel):
        print_text(f"  {line}")
    if not is_kept:
        after = "" if for_seconds is None else f"in {format_duration(for_seconds)}, or "
        print_text(f"it ends {after}with `tunnelkeeper stop {tunnel.name}`")
