"""The dashboard application: it owns the terminal and the tasks, and decides when to redraw."""

from __future__ import annotations

import asyncio
import signal
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from prompt_toolkit.application import Application
from prompt_toolkit.buffer import Buffer
from prompt_toolkit.document import Document
from prompt_toolkit.filters import Condition
from prompt_toolkit.key_binding.key_processor import KeyPress
from prompt_toolkit.keys import Keys
from prompt_toolkit.output import ColorDepth

from tunnelkeeper.control.payloads import QuestionClosedEvent
from tunnelkeeper.dashboard.answering import (
    Answering,
    AnswerQuestion,
    ClaimQuestion,
    LeaveQuestion,
)
from tunnelkeeper.dashboard.clipboard import osc_52
from tunnelkeeper.dashboard.controller import Controller
from tunnelkeeper.dashboard.effects import (
    FileEditor,
    Starter,
    edit_config,
    run_action,
    start_supervisor,
)
from tunnelkeeper.dashboard.feed import follow_supervisor
from tunnelkeeper.dashboard.key_bindings import create_key_bindings
from tunnelkeeper.dashboard.layout import CommandCompleter, create_layout
from tunnelkeeper.dashboard.model import Connected, Model
from tunnelkeeper.dashboard.mouse import create_mouse_handlers
from tunnelkeeper.dashboard.question_connection import QuestionConnection
from tunnelkeeper.dashboard.style import make_style
from tunnelkeeper.dashboard.ui_state import (
    Action,
    CopyText,
    EditConfig,
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

REDRAW_INTERVAL = 0.1
"""Seconds between two redraws for events of the supervisor. A key redraws at once."""

TICK_INTERVAL = 1.0
"""Seconds between two checks whether time alone has changed the screen."""

ESCAPE_TIMEOUT = 0.05
"""Seconds until an escape byte counts as the Escape key. Long enough for a sequence over SSH."""

_SPECIAL_KEYS = {
    "enter": Keys.Enter,
    "escape": Keys.Escape,
    "tab": Keys.Tab,
    "c-n": Keys.ControlN,
}
"""Keys of the status bar that are not characters."""


def run(
    socket: Path,
    start: Starter,
    edit: FileEditor,
    glyphs: Glyphs,
    notes: tuple[str, ...] = (),
    *,
    utc: bool = False,
    is_named: bool = False,
) -> None:
    """Show the supervisor at a socket until the user quits. `notes` replace the log at first.

    utc: whether the log has times in UTC, not in the local time zone. is_named: as in Client.
    """
    ui_state = UiState(glyphs, notes=notes, log_scope="notes" if notes else "all")
    try:
        asyncio.run(Dashboard(socket, start, edit, ui_state, utc=utc, is_named=is_named).run())
    except ExceptionGroup as group:
        # The first exception ended the dashboard and is the cause of the others.
        raise group.exceptions[0] from group


def now(*, utc: bool = False) -> Moment:
    """Return the current time, in the local time zone or in UTC."""
    return Moment(datetime.now(UTC).astimezone(UTC if utc else None), time.monotonic())


class Dashboard:
    """The dashboard on one terminal. It is the listener of its feed."""

    def __init__(
        self,
        socket: Path,
        start: Starter,
        edit: FileEditor,
        ui_state: UiState,
        keyboard: Input | None = None,
        output: Output | None = None,
        *,
        utc: bool = False,
        is_named: bool = False,
    ) -> None:
        self._socket = socket
        self._is_named = is_named
        self._utc = utc
        self._start = start
        self._edit = edit
        self._is_editing = False
        self.model = Model()
        self.controller = Controller(self.model, ui_state, self._dispatch)
        self._question_connection = QuestionConnection(socket, is_named=is_named)
        self._input_buffer = Buffer(
            completer=CommandCompleter(self.model),
            complete_while_typing=Condition(self._is_typing_command),
            accept_handler=self._accept_text,
            multiline=False,
            on_text_changed=lambda buffer: self.controller.on_text_changed(buffer.text),
        )
        self.app: Application[None] = Application(
            layout=create_layout(
                self.controller,
                self._input_buffer,
                create_mouse_handlers(self.controller, self._press_key, self._update_focus),
            ),
            key_bindings=create_key_bindings(self.controller, self._update_focus),
            full_screen=True,
            mouse_support=True,
            before_render=self._before_render,
            input=keyboard,
            output=output,
        )
        depths_of_256 = {ColorDepth.DEPTH_8_BIT, ColorDepth.DEPTH_24_BIT}
        self.app.style = make_style(has_256_colours=self.app.color_depth in depths_of_256)
        self.app.ttimeoutlen = ESCAPE_TIMEOUT
        self.app.timeoutlen = ESCAPE_TIMEOUT
        self._tasks: asyncio.TaskGroup
        self._action_tasks: set[asyncio.Task[None]] = set()
        self._redraw_timer: asyncio.TimerHandle | None = None
        self._is_drawn = False

    async def run(self) -> None:
        """Run until the user quits or a signal arrives."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGHUP):
            loop.add_signal_handler(number, self._exit)
        loop.set_exception_handler(self._on_loop_exception)
        async with asyncio.TaskGroup() as tasks:
            self._tasks = tasks
            background = [
                tasks.create_task(follow_supervisor(self._socket, self, is_named=self._is_named)),
                tasks.create_task(self._tick()),
            ]
            try:
                await self.app.run_async(set_exception_handler=False)
            finally:
                for task in (*background, *self._action_tasks):
                    task.cancel()
                if self._redraw_timer is not None:
                    self._redraw_timer.cancel()
                await self._question_connection.close()

    # -- FeedListener ------------------------------------------------------------------------

    def on_status(self, status: StatusSnapshot) -> None:
        """Replace the model's snapshots and redraw."""
        self.model.on_status(status, time.monotonic())
        self.controller.questions.sync()
        self._schedule_redraw()

    def on_logs(self, records: list[LogRecord]) -> None:
        """Replace the model's log and redraw."""
        self.model.on_logs(records)
        self._schedule_redraw()

    def on_event(self, event: Event) -> bool:
        """Apply an event to the model and redraw. Return whether a new status is needed."""
        needs_status = self.model.on_event(event, time.monotonic())
        closed = event if isinstance(event, QuestionClosedEvent) else None
        self.controller.questions.sync(closed)
        self._schedule_redraw()
        return needs_status

    def on_disconnect(self, reason: str) -> None:
        """Record that no supervisor answers, and redraw."""
        self.model.on_disconnect(reason, time.monotonic())
        self.controller.questions.sync()
        self._schedule_redraw()

    # -- input and actions -------------------------------------------------------------------

    def _dispatch(self, action: Action) -> None:
        match action:
            case Quit():
                self._exit()
            case StartSupervisor():
                self._spawn(start_supervisor(self._start, self.controller))
            case CopyText(text):
                self.app.output.write_raw(osc_52(text))
                self.app.output.flush()
            case EditConfig(tunnel):
                self._spawn(self._edit_config(tunnel))
            case ClaimQuestion() | AnswerQuestion() | LeaveQuestion():
                self._spawn(self._question_connection.run(action, self.controller.questions))
            case TunnelAction() | Reload() | FetchLog():
                self._spawn(
                    run_action(action, self._socket, self.controller, is_named=self._is_named)
                )

    async def _edit_config(self, tunnel: str | None) -> None:
        """Open the editor. A second key press before it opens has no effect."""
        if self._is_editing:
            return
        self._is_editing = True
        try:
            await edit_config(
                self._edit, tunnel, self._socket, self.controller, is_named=self._is_named
            )
        finally:
            self._is_editing = False

    def _spawn(self, coroutine: Coroutine[None, None, None]) -> None:
        task = self._tasks.create_task(coroutine)
        self._action_tasks.add(task)
        task.add_done_callback(self._on_action_done)

    def _on_action_done(self, task: asyncio.Task[None]) -> None:
        self._action_tasks.discard(task)
        self._schedule_redraw()

    def _exit(self) -> None:
        if self.app.is_running and not self.app.is_done:
            self.app.exit()

    def _on_loop_exception(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        """Exit with an unexpected exception of a callback, so that the user sees it."""
        error = context.get("exception")
        if isinstance(error, Exception) and self.app.is_running and not self.app.is_done:
            self.app.exit(exception=error)
        else:
            loop.default_exception_handler(context)

    def _press_key(self, key: str) -> None:
        """Simulate a key press for a click on the status bar."""
        self.app.key_processor.feed(KeyPress(_SPECIAL_KEYS.get(key, key)))

    def _accept_text(self, buffer: Buffer) -> bool:
        self.controller.on_text_accepted(buffer.text)
        self._update_focus()
        return False

    def _is_typing_command(self) -> bool:
        return self.controller.ui_state.mode == Typing("command")

    def _update_focus(self) -> None:
        """Move the keyboard focus to where the UI state needs it. Called after every input."""
        self._is_drawn = False
        mode, layout = self.controller.ui_state.mode, self.app.layout
        if isinstance(mode, Answering):
            self.app.emacs_state.current_recording = None  # a macro would keep what is typed
        has_focus = layout.has_focus(self._input_buffer)
        if isinstance(mode, Typing) and not has_focus:
            self._input_buffer.document = Document(mode.initial_text)
            layout.focus(self._input_buffer)
        elif has_focus and not isinstance(mode, Typing):
            layout.focus_last()

    # -- drawing -----------------------------------------------------------------------------

    async def _tick(self) -> None:
        """Update the elapsed times while disconnected, and the time left for an answer."""
        while True:
            await asyncio.sleep(TICK_INTERVAL)
            is_answering = isinstance(self.controller.ui_state.mode, Answering)
            if is_answering or not isinstance(self.model.feed_state, Connected):
                self._redraw_if_changed()

    def _schedule_redraw(self) -> None:
        if self._redraw_timer is None:
            self._redraw_timer = asyncio.get_running_loop().call_later(
                REDRAW_INTERVAL, self._redraw_if_changed
            )

    def _redraw_if_changed(self) -> None:
        """Redraw if the rendered screen has changed."""
        if self._redraw_timer is not None:
            self._redraw_timer.cancel()
            self._redraw_timer = None
        before = self.controller.screen
        if self._draw() != before:
            self._is_drawn = True
            self.app.invalidate()

    def _before_render(self, _app: Application[None]) -> None:
        if not self._is_drawn:
            self._draw()
        self._is_drawn = False

    def _draw(self) -> Screen:
        size = self.app.output.get_size()
        return self.controller.draw(now(utc=self._utc), size.columns, size.rows)
