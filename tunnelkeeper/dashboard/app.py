"""The application: the terminal, the tasks beside it, and when it is worth drawing again."""

from __future__ import annotations

import asyncio
import signal
import time
from datetime import datetime
from typing import TYPE_CHECKING, Any

from prompt_toolkit.application import Application
from prompt_toolkit.buffer import Buffer
from prompt_toolkit.document import Document
from prompt_toolkit.filters import Condition
from prompt_toolkit.key_binding.key_processor import KeyPress
from prompt_toolkit.keys import Keys

from tunnelkeeper.dashboard.controller import Controller
from tunnelkeeper.dashboard.effects import Starter, run_action, start_supervisor
from tunnelkeeper.dashboard.feed import listen
from tunnelkeeper.dashboard.key_bindings import key_bindings
from tunnelkeeper.dashboard.layout import CommandCompleter, layout
from tunnelkeeper.dashboard.model import Connected, Model
from tunnelkeeper.dashboard.mouse import handlers
from tunnelkeeper.dashboard.style import STYLE
from tunnelkeeper.dashboard.ui_state import (
    Action,
    FetchLog,
    Moment,
    Quit,
    Reload,
    StartSupervisor,
    TunnelAction,
    Typing,
    UiState,
)

if TYPE_CHECKING:
    from collections.abc import Coroutine
    from pathlib import Path

    from prompt_toolkit.input import Input
    from prompt_toolkit.output import Output

    from tunnelkeeper.control.payloads import Event
    from tunnelkeeper.core.snapshot import LogRecord, StatusSnapshot
    from tunnelkeeper.dashboard.glyphs import Glyphs
    from tunnelkeeper.dashboard.screen import Screen

REST = 0.1
"""Seconds from one picture of what the supervisor tells to the next; keys do not wait for it."""

TICK = 1.0
"""Seconds after which it is looked whether time itself has changed what is shown."""

ESCAPE_TIMEOUT = 0.05
"""Seconds until an escape byte is the key and not the beginning of another: enough over ssh."""


_KEYS = {"enter": Keys.Enter, "escape": Keys.Escape}
"""Keys of the bar that are no characters."""


def run(socket: Path, start: Starter, signs: Glyphs, notes: tuple[str, ...] = ()) -> None:
    """Show the supervisor at a socket until the person leaves. notes: what there is to try."""
    view = UiState(signs, notes=notes, log_scope="notes" if notes else "all")
    try:
        asyncio.run(Dashboard(socket, start, view).run())
    except ExceptionGroup as group:
        # Whatever it was, it ended the screen; the first one says what it was.
        raise group.exceptions[0] from group


def now() -> Moment:
    """Now, in the person's time zone."""
    return Moment(datetime.now().astimezone(), time.monotonic())


class Dashboard:
    """One screen on one terminal; a Hearer of the supervisor's link."""

    def __init__(
        self,
        socket: Path,
        start: Starter,
        view: UiState,
        keyboard: Input | None = None,
        screen: Output | None = None,
    ) -> None:
        self._socket = socket
        self._start = start
        self.board = Model()
        self.desk = Controller(self.board, view, self._do)
        self._typed = Buffer(
            completer=CommandCompleter(self.board),
            complete_while_typing=Condition(self._is_typing_a_command),
            accept_handler=self._entered,
            multiline=False,
            on_text_changed=lambda buffer: self.desk.typed(buffer.text),
        )
        self.app: Application[None] = Application(
            layout=layout(self.desk, self._typed, handlers(self.desk, self._press, self._settle)),
            key_bindings=key_bindings(self.desk, self._settle),
            style=STYLE,
            full_screen=True,
            mouse_support=True,
            before_render=self._before_render,
            input=keyboard,
            output=screen,
        )
        self.app.ttimeoutlen = ESCAPE_TIMEOUT
        self.app.timeoutlen = ESCAPE_TIMEOUT
        self._tasks: asyncio.TaskGroup
        self._errands: set[asyncio.Task[None]] = set()
        self._next_look: asyncio.TimerHandle | None = None
        self._is_fresh = False

    async def run(self) -> None:
        """Until the person leaves, or a signal ends it."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGHUP):
            loop.add_signal_handler(number, self._leave)
        loop.set_exception_handler(self._fail)
        async with asyncio.TaskGroup() as tasks:
            self._tasks = tasks
            others = [
                tasks.create_task(listen(self._socket, self)),
                tasks.create_task(self._tick()),
            ]
            try:
                await self.app.run_async(set_exception_handler=False)
            finally:
                for task in (*others, *self._errands):
                    task.cancel()
                if self._next_look is not None:
                    self._next_look.cancel()

    # -- what the link tells -----------------------------------------------------------------

    def on_status(self, status: StatusSnapshot) -> None:
        """See Hearer."""
        self.board.on_status(status, time.monotonic())
        self._look_soon()

    def on_logs(self, records: list[LogRecord]) -> None:
        """See Hearer."""
        self.board.on_logs(records)
        self._look_soon()

    def on_event(self, event: Event) -> bool:
        """See Hearer."""
        is_unknown = self.board.on_event(event, time.monotonic())
        self._look_soon()
        return is_unknown

    def on_disconnect(self, why: str) -> None:
        """See Hearer."""
        self.board.on_disconnect(why, time.monotonic())
        self._look_soon()

    # -- what the person does ----------------------------------------------------------------

    def _do(self, deed: Action) -> None:
        match deed:
            case Quit():
                self._leave()
            case StartSupervisor():
                self._send(start_supervisor(self._start, self.desk))
            case TunnelAction() | Reload() | FetchLog():
                self._send(run_action(deed, self._socket, self.desk))

    def _send(self, errand: Coroutine[None, None, None]) -> None:
        task = self._tasks.create_task(errand)
        self._errands.add(task)
        task.add_done_callback(self._returned)

    def _returned(self, task: asyncio.Task[None]) -> None:
        self._errands.discard(task)
        self._look_soon()

    def _leave(self) -> None:
        if self.app.is_running and not self.app.is_done:
            self.app.exit()

    def _fail(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        """What nobody foresaw, in a callback: leave with it, so that it is seen."""
        error = context.get("exception")
        if isinstance(error, Exception) and self.app.is_running and not self.app.is_done:
            self.app.exit(exception=error)
        else:
            loop.default_exception_handler(context)

    def _press(self, key: str) -> None:
        """As if a key were pressed: the bar was clicked at."""
        self.app.key_processor.feed(KeyPress(_KEYS.get(key, key)))

    def _entered(self, buffer: Buffer) -> bool:
        self.desk.entered(buffer.text)
        self._settle()
        return False

    def _is_typing_a_command(self) -> bool:
        return self.desk.ui_state.mode == Typing("command")

    def _settle(self) -> None:
        """After whatever a key did: the keys go where the view wants them."""
        self._is_fresh = False
        mode, focus = self.desk.ui_state.mode, self.app.layout
        is_typed_into = focus.has_focus(self._typed)
        if isinstance(mode, Typing) and not is_typed_into:
            self._typed.document = Document(mode.initial_text)
            focus.focus(self._typed)
        elif is_typed_into and not isinstance(mode, Typing):
            focus.focus_last()

    # -- drawing -----------------------------------------------------------------------------

    async def _tick(self) -> None:
        """Countdowns go on when nobody tells anything."""
        while True:
            await asyncio.sleep(TICK)
            if not isinstance(self.board.feed_state, Connected):
                self._look()

    def _look_soon(self) -> None:
        if self._next_look is None:
            self._next_look = asyncio.get_running_loop().call_later(REST, self._look)

    def _look(self) -> None:
        """Draw again if the screen would not be the same."""
        if self._next_look is not None:
            self._next_look.cancel()
            self._next_look = None
        before = self.desk.screen
        if self._draw() != before:
            self._is_fresh = True
            self.app.invalidate()

    def _before_render(self, _app: Application[None]) -> None:
        if not self._is_fresh:
            self._draw()
        self._is_fresh = False

    def _draw(self) -> Screen:
        size = self.app.output.get_size()
        return self.desk.draw(now(), size.columns, size.rows)
