"""Carries deeds out: asks the supervisor, or has one started, and tells how it went."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING

import msgspec

from tunnelkeeper.control.async_client import CONTROL_ERRORS, call
from tunnelkeeper.control.client import RemoteError
from tunnelkeeper.control.payloads import Changes, LogLines
from tunnelkeeper.dashboard.feed import describe_error
from tunnelkeeper.dashboard.model import RECORDS_KEPT_OF_ONE, Connected
from tunnelkeeper.dashboard.ui_state import FetchLog, Reload, TunnelAction

if TYPE_CHECKING:
    from pathlib import Path

    from tunnelkeeper.dashboard.controller import Controller

ACTION_TIMEOUT = 60.0
"""Seconds for what takes the supervisor work: closing connections, looking up every host."""

START_TIMEOUT = 20.0
LOOK_AGAIN = 0.1

Ended = Callable[[], str | None]
"""Whether a supervisor that was started has ended by itself: what it said, else None."""

Starter = Callable[[], Ended]
"""Starts a supervisor in the background, without waiting for it; raises CannotStart."""


class StartError(Exception):
    """Why no supervisor can be started; problems: the lines of a config file's."""

    def __init__(self, message: str, problems: tuple[str, ...] = ()) -> None:
        super().__init__(message)
        self.problems = problems


async def run_action(
    deed: TunnelAction | Reload | FetchLog, socket: Path, desk: Controller
) -> None:
    """Ask the supervisor, and put its answer on the desk."""
    try:
        match deed:
            case TunnelAction(method, names, words, graceful):
                manner = {"graceful": True} if graceful else {}
                await call(socket, method, ACTION_TIMEOUT, names=list(names), **manner)
                desk.answer(f"{words}: {_DONE[method]}")
            case Reload():
                said = await call(socket, "reload", ACTION_TIMEOUT)
                changes = msgspec.json.decode(said, type=Changes).changes
                desk.answer(f"reloaded: {'; '.join(changes) or 'nothing changed'}")
            case FetchLog(name):
                said = await call(
                    socket, "logs", ACTION_TIMEOUT, name=name, lines=RECORDS_KEPT_OF_ONE
                )
                desk.model.set_tunnel_records(
                    name, msgspec.json.decode(said, type=LogLines).records
                )
    except RemoteError as error:
        desk.answer(error.message, *error.problems, bad=True)
    except CONTROL_ERRORS as error:
        desk.answer(describe_error(error), bad=True)


async def start_supervisor(start: Starter, desk: Controller) -> None:
    """Have one started, and tell when it ends before it answers; an answer is seen anyway."""
    try:
        ended = start()
    except StartError as error:
        desk.answer(str(error), *error.problems, bad=True)
        return
    for _ in range(int(START_TIMEOUT / LOOK_AGAIN)):
        if isinstance(desk.model.feed_state, Connected):
            desk.answer("a supervisor runs in the background, with or without the dashboard")
            return
        said = ended()
        if said is not None:
            first, *rest = said.splitlines()
            desk.answer(first, *rest, bad=True)
            return
        await asyncio.sleep(LOOK_AGAIN)
    desk.answer("the supervisor was started and does not answer", bad=True)


_DONE = {"start": "asked for", "stop": "done", "restart": "asked for"}
