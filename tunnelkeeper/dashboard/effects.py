"""The actions of the dashboard that wait: requests to the supervisor, starting one, an editor.

They report to the controller and do not draw.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

import msgspec
from prompt_toolkit.application import in_terminal

from tunnelkeeper.control.async_client import CONTROL_ERRORS, call
from tunnelkeeper.control.client_errors import NoSupervisorError, RemoteError
from tunnelkeeper.control.jsonrpc import ProtocolError
from tunnelkeeper.control.payloads import Changes, LogLines
from tunnelkeeper.dashboard.feed import describe_error
from tunnelkeeper.dashboard.model import MAX_TUNNEL_RECORDS, Connected
from tunnelkeeper.dashboard.ui_state import FetchLog, Reload, TunnelAction

if TYPE_CHECKING:
    from pathlib import Path

    from tunnelkeeper.dashboard.controller import Controller

ACTION_TIMEOUT = 60.0
"""Seconds for a request. The supervisor may have to close connections or resolve every host."""

START_TIMEOUT = 20.0
"""Seconds until a started supervisor must answer."""

POLL_INTERVAL = 0.1

ExitCheck = Callable[[], str | None]
"""Returns the message of a started supervisor that has exited, or None while it runs."""

Starter = Callable[[str | None], ExitCheck]
"""Starts a supervisor in the background without waiting for it. Raises StartError.

The argument is the config file on the screen: that of the last supervisor, if there was one.
"""


FileEditor = Callable[[str | None, str | None], bool]
"""Lets the user edit a config file on the terminal. Returns whether it was written.

The arguments are the config file on the screen, as for Starter, and the tunnel to show first. It
runs in a thread until the user has finished. Raises EditError.
"""


class EditError(Exception):
    """Raised when the config file was not written. `hint` says what to do about it, or is empty."""

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint


class StartError(Exception):
    """Raised when a supervisor cannot be started.

    problems: those of the config file. hint: what to do about it, or empty.
    """

    def __init__(self, message: str, problems: tuple[str, ...] = (), hint: str = "") -> None:
        super().__init__(message)
        self.problems = problems
        self.hint = hint


async def run_action(
    action: TunnelAction | Reload | FetchLog,
    socket: Path,
    controller: Controller,
    *,
    is_named: bool = False,
) -> None:
    """Send a request to the supervisor and show its result. is_named: as in Client."""
    ask = partial(call, socket, is_named=is_named)
    try:
        match action:
            case TunnelAction(method, names, description, graceful, undo):
                options = {"graceful": True} if graceful else {}
                await ask(method, ACTION_TIMEOUT, names=list(names), **options)
                controller.show_result(f"{description}: {_RESULTS[method]}", hint=undo)
            case Reload():
                result = await ask("reload", ACTION_TIMEOUT)
                changes = msgspec.json.decode(result, type=Changes).changes
                controller.show_result(f"reloaded: {'; '.join(changes) or 'nothing changed'}")
            case FetchLog(name):
                result = await ask("logs", ACTION_TIMEOUT, name=name, lines=MAX_TUNNEL_RECORDS)
                controller.model.set_tunnel_records(
                    name, msgspec.json.decode(result, type=LogLines).records
                )
    except RemoteError as error:
        lines = [line for problem in error.problems for line in problem.lines]
        controller.show_result(error.message, *lines, is_error=True, hint=error.hint)
    except NoSupervisorError as error:
        controller.show_result(describe_error(error), is_error=True, hint="u starts one")
    except CONTROL_ERRORS as error:
        hint = error.hint if isinstance(error, ProtocolError) else ""
        controller.show_result(describe_error(error), is_error=True, hint=hint)


async def edit_config(
    edit: FileEditor,
    tunnel: str | None,
    socket: Path,
    controller: Controller,
    *,
    is_named: bool = False,
) -> None:
    """Give the terminal to the editor, then reload what was written. is_named: as in Client.

    A Ctrl-C meanwhile reaches the dashboard too; prompt_toolkit handles that signal and ignores it.
    """
    supervisor = controller.model.supervisor
    config = supervisor.config if supervisor else None
    try:
        async with in_terminal():
            was_written = await asyncio.to_thread(edit, config, tunnel)
    except EditError as error:
        first, *rest = str(error).splitlines()
        controller.show_result(first, *rest, is_error=True, hint=error.hint)
        return
    if not was_written:
        controller.show_result("the config file is unchanged")
    elif isinstance(controller.model.feed_state, Connected):
        await run_action(Reload(), socket, controller, is_named=is_named)
    else:
        controller.show_result("the config file is written", hint="u starts a supervisor")


async def start_supervisor(start: Starter, controller: Controller) -> None:
    """Start a supervisor and show whether it answers, exits or does neither in time."""
    try:
        supervisor = controller.model.supervisor
        check_exit = start(supervisor.config if supervisor else None)
    except StartError as error:
        controller.show_result(str(error), *error.problems, is_error=True, hint=error.hint)
        return
    for _ in range(int(START_TIMEOUT / POLL_INTERVAL)):
        if isinstance(controller.model.feed_state, Connected):
            controller.show_result(
                "a supervisor runs in the background, even after you quit the dashboard"
            )
            return
        message = check_exit()
        if message is not None:
            first, *rest = message.splitlines()
            controller.show_result(first, *rest, is_error=True)
            return
        await asyncio.sleep(POLL_INTERVAL)
    controller.show_result("the supervisor was started but does not answer", is_error=True)


_RESULTS = {"start": "requested", "stop": "done", "restart": "requested"}
"""Results by method. The supervisor answers a start or restart before the tunnel is up."""
