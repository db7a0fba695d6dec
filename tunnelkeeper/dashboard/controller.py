"""What keys, clicks and commands do: to the view at once, to the supervisor by deeds handed on.

It knows no terminal and talks to nobody: `do` carries deeds out, and `answer` is told how it went.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from tunnelkeeper.dashboard import command_parser, help_page
from tunnelkeeper.dashboard.filter_sort import Filter, Sorting, visible_tunnels
from tunnelkeeper.dashboard.log_pane import newest_first
from tunnelkeeper.dashboard.screen import Screen, render
from tunnelkeeper.dashboard.status_bar import WAITING
from tunnelkeeper.dashboard.table_rows import Table
from tunnelkeeper.dashboard.ui_state import (
    Action,
    Browsing,
    Confirming,
    FetchLog,
    LogScope,
    Message,
    Moment,
    Quit,
    Reading,
    Reload,
    StartSupervisor,
    TunnelAction,
    Typing,
    UiState,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from tunnelkeeper.core.snapshot import TunnelSnapshot
    from tunnelkeeper.dashboard.command_parser import Verb
    from tunnelkeeper.dashboard.filter_sort import SortKey
    from tunnelkeeper.dashboard.model import Model

MESSAGE_TIMEOUT = 10.0
"""Seconds after which the keys at the bottom are shown again in place of a message."""


@dataclass(slots=True)
class Controller:
    """The board, the view, and all that a person can do with them."""

    model: Model
    ui_state: UiState
    dispatch: Callable[[Action], None]
    screen: Screen = field(default_factory=Screen)
    _table: Table = field(init=False)
    _message_since: float | None = None

    def __post_init__(self) -> None:
        self._table = Table(self.ui_state.glyphs)

    def draw(self, now: Moment, cells: int, height: int) -> Screen:
        """The screen as it is now, which is also what clicks refer to."""
        if self.ui_state.message is None:
            self._message_since = None
        elif self._message_since is None:
            self._message_since = now.monotonic
        elif now.monotonic - self._message_since > MESSAGE_TIMEOUT:
            self.clear_message()
        self.screen = render(self.model, self.ui_state, self._table, now, cells, height)
        return self.screen

    # -- moving ------------------------------------------------------------------------------

    def visible_tunnels(self) -> list[TunnelSnapshot]:
        """The tunnels in the table."""
        return visible_tunnels(self.model, self.ui_state.filter, self.ui_state.sorting)

    def move(self, count: int) -> None:
        """Up or down by so many rows, or lines of a page."""
        if isinstance(self.ui_state.mode, Reading):
            top = max(0, self.ui_state.mode.top + count)
            self.ui_state.mode = replace(
                self.ui_state.mode, top=min(top, len(self.ui_state.mode.lines))
            )
            return
        tunnels = self.visible_tunnels()
        if tunnels:
            row = max(0, min(len(tunnels) - 1, self.ui_state.selected_row + count))
            self.select(tunnels[row].name)

    def move_pages(self, count: int) -> None:
        """Up or down by so many screens of rows."""
        self.move(count * max(1, len(self.screen.rows) - 1))

    def select(self, name: str) -> None:
        """Put the cursor on a tunnel."""
        names = [tunnel.name for tunnel in self.visible_tunnels()]
        if name in names:
            self.ui_state.selected, self.ui_state.selected_row = name, names.index(name)
            self._fetch_missing_log()

    def toggle_detail(self) -> None:
        """Open or close the pane of the chosen tunnel."""
        self.ui_state.is_detail_open = not self.ui_state.is_detail_open
        self._fetch_missing_log()

    def cycle_log(self) -> None:
        """The log of all, of the chosen tunnel, none; the notes too where there are some."""
        order: list[LogScope] = ["all", "chosen", "off"]
        order = ["notes", *order] if self.ui_state.notes else order
        self.show_log(order[(order.index(self.ui_state.log_scope) + 1) % len(order)])

    def show_log(self, scope: LogScope) -> None:
        """From its end."""
        self.ui_state.log_scope, self.ui_state.log_offset = scope, 0
        self._fetch_missing_log()

    def scroll_log(self, records: int) -> None:
        """Scroll the log back (positive) or forward by a number of records."""
        count = sum(1 for _ in newest_first(self.model, self.ui_state))
        self.ui_state.log_offset = max(0, min(count - 1, self.ui_state.log_offset + records))

    def sort_by(self, key: SortKey) -> None:
        """By a column, or the other way round."""
        self.ui_state.sorting = self.ui_state.sorting.select(key)

    def sort_next(self) -> None:
        """By the next column."""
        self.ui_state.sorting = self.ui_state.sorting.next_column()

    def reverse_sorting(self) -> None:
        """The other way round."""
        sorting = self.ui_state.sorting
        self.ui_state.sorting = Sorting(sorting.key, not sorting.is_reversed)

    # -- marking -----------------------------------------------------------------------------

    def toggle_mark(self) -> None:
        """Mark the chosen tunnel or take its mark away, and go on to the next."""
        if self.ui_state.selected is not None:
            self.ui_state.marked ^= {self.ui_state.selected}
            self.move(1)

    def toggle_all_marks(self) -> None:
        """Mark all that are shown, or none where they are marked already."""
        names = {tunnel.name for tunnel in self.visible_tunnels()}
        self.ui_state.marked = set() if names <= self.ui_state.marked else names

    # -- acting ------------------------------------------------------------------------------

    def control_tunnels(
        self, verb: Verb, names: tuple[str, ...] | None = None, *, graceful: bool = False
    ) -> None:
        """Do something to these tunnels, else the marked ones, else the chosen one.

        More than one are asked about first. graceful: of a restart.
        """
        tunnels = self._target_tunnels(names)
        if verb == "retry":
            tunnels = [tunnel for tunnel in tunnels if tunnel.state in WAITING]
            if not tunnels:
                self._show_message("nothing waits to be tried again", is_error=True)
                return
        if not tunnels:
            self._show_message("no tunnel is chosen", is_error=True)
            return
        method = "start" if verb == "retry" else verb  # a start ends the wait, and nothing else
        what = tunnels[0].name if len(tunnels) == 1 else f"{len(tunnels)} tunnels"
        words = f"{verb} {what}{' gracefully' if graceful else ''}"
        deed = TunnelAction(method, tuple(tunnel.name for tunnel in tunnels), words, graceful)
        if len(tunnels) > 1:
            self.ui_state.mode = Confirming(f"{words}?", deed)
        else:
            self.dispatch(deed)

    def ask_to_reload(self) -> None:
        """Have the config file read again; it may concern every tunnel, so it is asked first."""
        self.ui_state.mode = Confirming("read the config file again?", Reload())

    def start_supervisor(self) -> None:
        """Start one in the background."""
        self._show_message("starting a supervisor")
        self.dispatch(StartSupervisor())

    def confirm(self, *, yes: bool) -> None:
        """Answer the question."""
        if isinstance(self.ui_state.mode, Confirming):
            deed = self.ui_state.mode.action
            self.ui_state.mode = Browsing()
            if yes:
                self.ui_state.marked.clear()
                self.dispatch(deed)

    def quit(self) -> None:
        """Leave."""
        self.dispatch(Quit())

    # -- lines that are typed ----------------------------------------------------------------

    def edit_filter(self) -> None:
        """Begin to type a filter."""
        self.ui_state.mode = Typing("filter", self.ui_state.filter.text)

    def edit_search(self) -> None:
        """Begin to type what is looked for in the log."""
        if self.ui_state.log_scope not in {"all", "chosen"}:
            self.show_log("all")
        self.ui_state.mode = Typing("search", self.ui_state.search)

    def edit_command(self) -> None:
        """Begin to type a command."""
        self.ui_state.mode = Typing("command")

    def on_text_changed(self, text: str) -> None:
        """The line as it is so far: filters and searches take effect while they are typed."""
        match self.ui_state.mode:
            case Typing("filter"):
                self.ui_state.filter = Filter(text)
            case Typing("search"):
                self.ui_state.search, self.ui_state.log_offset = text, 0

    def on_text_accepted(self, text: str) -> None:
        """The line is finished."""
        mode, self.ui_state.mode = self.ui_state.mode, Browsing()
        if isinstance(mode, Typing) and mode.kind == "command" and text.strip():
            try:
                self.run_command(command_parser.parse(text, self.model))
            except command_parser.UnknownCommandError as error:
                self._show_message(str(error), is_error=True)

    def escape(self) -> None:
        """Take the last thing back: what is typed or read, marks, the search, the filter."""
        view = self.ui_state
        match view.mode:
            case Typing(_, before) as typing:
                self.on_text_changed(before)
                view.mode = Browsing()
                view.search = before if typing.kind == "search" else view.search
            case Confirming() | Reading():
                view.mode = Browsing()
            case _ if view.marked:
                view.marked.clear()
            case _ if view.search:
                view.search = ""
            case _ if view.filter:
                view.filter = Filter()
            case _ if view.is_detail_open:
                view.is_detail_open = False

    def run_command(self, command: command_parser.Command) -> None:
        """Do what a command means."""
        match command:
            case command_parser.ControlTunnels(verb, names, graceful):
                self.control_tunnels(verb, names, graceful=graceful)
            case command_parser.SetFilter(chosen):
                self.ui_state.filter = chosen
            case command_parser.SearchLog(text):
                self.ui_state.search = text
                self.show_log("all" if self.ui_state.log_scope != "chosen" else "chosen")
            case command_parser.SortBy(key):
                self.sort_by(key)
            case command_parser.ShowLog(of):
                self._show_log_of(of)
            case command_parser.SelectTunnel(name):
                self.select(name)
            case command_parser.SimpleCommand(word):
                {"reload": self.ask_to_reload, "help": self.show_help, "quit": self.quit}[word]()

    # -- being told --------------------------------------------------------------------------

    def show_help(self) -> None:
        """Show all keys."""
        self.ui_state.mode = Reading("help", help_page.help_lines(self.ui_state.glyphs))

    def show_result(self, text: str, *problems: str, is_error: bool = False) -> None:
        """How a deed went, in a line; problems, of a config file, have a page."""
        if problems:
            self.clear_message()
            self.ui_state.mode = Reading(text, problems)
        else:
            self._show_message(text, is_error=is_error)

    def clear_message(self) -> None:
        """A key was pressed: the last message was read."""
        self.ui_state.message, self._message_since = None, None

    # -- inside ------------------------------------------------------------------------------

    def _target_tunnels(self, names: tuple[str, ...] | None) -> list[TunnelSnapshot]:
        tunnels = self.model.tunnels
        if names is not None:
            return [tunnels[name] for name in names if name in tunnels]
        if self.ui_state.marked:
            return [tunnel for tunnel in tunnels.values() if tunnel.name in self.ui_state.marked]
        chosen = tunnels.get(self.ui_state.selected or "")
        return [chosen] if chosen else []

    def _show_log_of(self, target: str) -> None:
        match target:
            case "all" | "off":
                self.show_log("all" if target == "all" else "off")
            case name:
                self.select(name)
                self.show_log("chosen")

    def _fetch_missing_log(self) -> None:
        """The common log may not reach back to what happened to the chosen tunnel."""
        name = self.ui_state.selected
        wanted = self.ui_state.is_detail_open or self.ui_state.log_scope == "chosen"
        if wanted and name is not None and self.model.tunnel_records(name) is None:
            self.dispatch(FetchLog(name))

    def _show_message(self, text: str, *, is_error: bool = False) -> None:
        self.ui_state.message, self._message_since = (
            Message(text, "bad" if is_error else "good"),
            None,
        )
