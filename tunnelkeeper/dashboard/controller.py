"""The controller: it maps keys, clicks and commands to changes of the UI state and to actions.

It does no I/O. `dispatch` runs an action, and `show_result` receives its result.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from tunnelkeeper.dashboard import command_parser, help_page
from tunnelkeeper.dashboard.answering import Answering
from tunnelkeeper.dashboard.clipboard import copy_next
from tunnelkeeper.dashboard.filter_sort import Filter
from tunnelkeeper.dashboard.folding import FoldedGroup
from tunnelkeeper.dashboard.log_pane import newest_first
from tunnelkeeper.dashboard.question_controller import QuestionController
from tunnelkeeper.dashboard.row_cursor import RowCursor
from tunnelkeeper.dashboard.screen import Screen, render
from tunnelkeeper.dashboard.tunnel_actions import (
    NoTargetError,
    plan_action,
)
from tunnelkeeper.dashboard.tunnel_page import with_page_log
from tunnelkeeper.dashboard.ui_state import (
    Action,
    Browsing,
    Confirming,
    CopyText,
    EditConfig,
    FetchLog,
    LogScope,
    Message,
    Moment,
    Quit,
    Reading,
    Reload,
    StartSupervisor,
    TunnelAction,
    TunnelPage,
    Typing,
    UiState,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from tunnelkeeper.core.snapshot import TunnelSnapshot
    from tunnelkeeper.dashboard.command_parser import TunnelVerb
    from tunnelkeeper.dashboard.filter_sort import SortKey
    from tunnelkeeper.dashboard.model import Model

MESSAGE_TIMEOUT = 10.0
"""Seconds until the status bar shows the keys again instead of a message."""


@dataclass(slots=True)
class Controller:
    """The operations of the user interface on the model and the UI state."""

    model: Model
    ui_state: UiState
    dispatch: Callable[[Action], None]
    screen: Screen = field(default_factory=Screen)
    questions: QuestionController = field(init=False)
    cursor: RowCursor = field(init=False)
    _message_since: float | None = None

    def __post_init__(self) -> None:
        self.cursor = RowCursor(self.model, self.ui_state)
        self.questions = QuestionController(self.model, self.ui_state, self.dispatch)

    def draw(self, now: Moment, cells: int, height: int) -> Screen:
        """Render the screen. Clicks refer to the screen that was rendered last."""
        if self.ui_state.message is None:
            self._message_since = None
        elif self._message_since is None:
            self._message_since = now.monotonic
        elif now.monotonic - self._message_since > MESSAGE_TIMEOUT:
            self.clear_message()
        self.screen = render(self.model, self.ui_state, now, cells, height)
        return self.screen

    # -- navigation --------------------------------------------------------------------------

    def move(self, rows: int) -> None:
        """Move the cursor by a number of rows, or scroll a page by lines. Negative is up.

        Drawing a page limits its position, since its length depends on the width of the screen.
        """
        mode, page = self.ui_state.mode, self.ui_state.page
        if isinstance(mode, Reading):
            self.ui_state.mode = replace(mode, first_line=max(0, mode.first_line + rows))
        elif page is not None:
            self.ui_state.page = replace(page, first_line=max(0, page.first_line + rows))
        else:
            self.cursor.move(rows)
            self._fetch_missing_log()

    def move_pages(self, pages: int) -> None:
        """Move the cursor or the page by a number of screens, less a line. Negative is up."""
        lines = len(self.screen.rows) or len(self.screen.body) - 1
        self.move(pages * max(1, lines - 1))

    def select(self, name: str) -> None:
        """Put the cursor on a tunnel, or on its folded group, if the table shows it."""
        if self.cursor.select(name):
            self._fetch_missing_log()

    def open_row(self) -> None:
        """Open or close the detail pane of the selected tunnel, or unfold the selected group."""
        if isinstance(self.cursor.row(), FoldedGroup):
            self.toggle_fold()
        else:
            self.toggle_detail()

    def open_page(self) -> None:
        """Show the selected tunnel on a page of its own."""
        tunnel = self._selected_tunnel()
        if tunnel is not None:
            self.ui_state.page, self.ui_state.log_offset = TunnelPage(tunnel.name), 0
            self._fetch_missing_log()

    def toggle_detail(self) -> None:
        """Open or close the detail pane."""
        self.ui_state.is_detail_open = not self.ui_state.is_detail_open
        self._fetch_missing_log()

    def toggle_fold(self) -> None:
        """Fold the group of the selected tunnel, or unfold the selected group."""
        if obstacle := self.cursor.toggle_fold():
            self._show_message(obstacle, is_error=True)
        self._fetch_missing_log()

    def cycle_log(self) -> None:
        """Show the next log: of all tunnels, of the selected one, none, and the notes if any."""
        order: list[LogScope] = ["all", "selected", "off"]
        order = ["notes", *order] if self.ui_state.notes else order
        self.show_log(order[(order.index(self.ui_state.log_scope) + 1) % len(order)])

    def show_log(self, scope: LogScope) -> None:
        """Show a log, scrolled to its end."""
        self.ui_state.log_scope, self.ui_state.log_offset = scope, 0
        self._fetch_missing_log()

    def scroll_log(self, records: int) -> None:
        """Scroll the log back (positive) or forward by a number of records."""
        count = sum(1 for _ in newest_first(self.model, with_page_log(self.ui_state)))
        self.ui_state.log_offset = max(0, min(count - 1, self.ui_state.log_offset + records))

    def sort_by(self, key: SortKey) -> None:
        """Sort by a column. Reverse the order if the table is sorted by it already."""
        self.ui_state.sorting = self.ui_state.sorting.toggle(key)

    def sort_next(self) -> None:
        """Sort by the next column."""
        self.ui_state.sorting = self.ui_state.sorting.next_column()

    def reverse_sorting(self) -> None:
        """Reverse the sort order."""
        self.ui_state.sorting = self.ui_state.sorting.reverse()

    def toggle_problems_first(self) -> None:
        """List the tunnels that have a problem first, or no longer."""
        self.ui_state.sorting = self.ui_state.sorting.toggle_problems_first()

    # -- actions -----------------------------------------------------------------------------

    def control_tunnels(
        self, verb: TunnelVerb, names: tuple[str, ...] | None = None, *, graceful: bool = False
    ) -> None:
        """Start, stop, restart or retry the named, else the marked, else the selected tunnels.

        dashboard/tunnel_actions.py decides what needs confirmation. `graceful`: of a restart.
        """
        tunnels = self._target_tunnels(names)
        is_named = names is not None
        try:
            plan = plan_action(verb, tunnels, graceful=graceful, is_named=is_named)
        except NoTargetError as error:
            self._show_message(str(error), is_error=True)
            return
        if plan.question:
            self.ui_state.mode = Confirming(plan.question, plan.action)
        else:
            self.dispatch(plan.action)

    def ask_to_reload(self) -> None:
        """Ask for confirmation to reload the config file, which can change every tunnel."""
        self.ui_state.mode = Confirming("reload the config file?", Reload())

    def edit_config(self) -> None:
        """Open the config file in the user's editor. A valid change is reloaded at once."""
        page = self.ui_state.page
        self.dispatch(EditConfig(self.ui_state.selected if page is None else page.name))

    def copy_address(self) -> None:
        """Copy the address of the tunnel's first forward, or of the next one if pressed again."""
        tunnel = self._selected_tunnel()
        if tunnel is None:
            return
        copy = copy_next(tunnel, self.ui_state.copied)
        if copy is None:
            self._show_message(f"{tunnel.name} has no forward", is_error=True)
            return
        self.ui_state.copied = copy.forward
        if copy.address is not None:
            self.dispatch(CopyText(copy.address))
        self._show_message(copy.message, is_error=copy.address is None, hint=copy.hint)

    def start_supervisor(self) -> None:
        """Start a supervisor in the background."""
        self._show_message("starting a supervisor")
        self.dispatch(StartSupervisor())

    def confirm(self, *, yes: bool) -> None:
        """Answer the question. A yes runs its action."""
        if isinstance(self.ui_state.mode, Confirming):
            action = self.ui_state.mode.action
            self.ui_state.mode = Browsing()
            if yes:
                if isinstance(action, TunnelAction):
                    self.ui_state.marked.clear()
                self.dispatch(action)

    def quit(self) -> None:
        """Quit the dashboard."""
        self.dispatch(Quit())

    # -- text input --------------------------------------------------------------------------

    def edit_filter(self) -> None:
        """Open the input line for the filter."""
        self.ui_state.mode = Typing("filter", self.ui_state.filter.text)

    def edit_search(self) -> None:
        """Open the input line for the log search."""
        if self.ui_state.page is None and self.ui_state.log_scope not in {"all", "selected"}:
            self.show_log("all")
        self.ui_state.mode = Typing("search", self.ui_state.search)

    def edit_command(self) -> None:
        """Open the input line for a command."""
        self.ui_state.mode = Typing("command")

    def on_text_changed(self, text: str) -> None:
        """Apply the text so far. Filters and searches take effect as you type."""
        match self.ui_state.mode:
            case Typing("filter"):
                self.ui_state.filter = Filter(text)
            case Typing("search"):
                self.ui_state.search, self.ui_state.log_offset = text, 0

    def on_text_accepted(self, text: str) -> None:
        """Close the input line. Run its text if it is a command."""
        mode, self.ui_state.mode = self.ui_state.mode, Browsing()
        if isinstance(mode, Typing) and mode.kind == "command" and text.strip():
            try:
                self.run_command(command_parser.parse(text, self.model))
            except command_parser.UnknownCommandError as error:
                self._show_message(str(error), is_error=True)

    def escape(self) -> None:
        """Undo one step: the input or page, then marks, search, filter and detail pane."""
        state = self.ui_state
        match state.mode:
            case Typing(_, initial_text) as typing:
                self.on_text_changed(initial_text)
                state.mode = Browsing()
                state.search = initial_text if typing.kind == "search" else state.search
            case Confirming() | Reading():
                state.mode = Browsing()
            case _ if state.page is not None:
                state.page, state.log_offset = None, 0
            case _ if state.marked:
                state.marked.clear()
            case _ if state.search:
                state.search = ""
            case _ if state.filter:
                state.filter = Filter()
            case _ if state.is_detail_open:
                state.is_detail_open = False

    def run_command(self, command: command_parser.Command) -> None:
        """Run a parsed command."""
        match command:
            case command_parser.ControlTunnels(verb, names, graceful):
                self.control_tunnels(verb, names, graceful=graceful)
            case command_parser.SetFilter(tunnel_filter):
                self.ui_state.filter = tunnel_filter
            case command_parser.SearchLog(text):
                self.ui_state.search = text
                self.show_log("selected" if self.ui_state.log_scope == "selected" else "all")
            case command_parser.SortBy(key):
                self.sort_by(key)
            case command_parser.ShowLog(target):
                self._show_log_of(target)
            case command_parser.SelectTunnel(name):
                self.cursor.reveal(name)
                self._fetch_missing_log()
            case command_parser.Fold(group, is_folded):
                self.cursor.set_folded(group, is_folded=is_folded)
            case command_parser.SimpleCommand(name):
                _SIMPLE_COMMANDS[name](self)

    # -- pages and messages ------------------------------------------------------------------

    def show_help(self) -> None:
        """Show the help page."""
        self.ui_state.mode = Reading("help", help_page.help_lines(self.ui_state.glyphs))

    def show_result(
        self, text: str, *problems: str, is_error: bool = False, hint: str = ""
    ) -> None:
        """Show the result of an action: a message, or a page if a config file has problems.

        An open question is not covered: what is typed for it would go elsewhere.
        """
        if problems and not isinstance(self.ui_state.mode, Answering):
            self.clear_message()
            lines = (*problems, f"  hint: {hint}") if hint else problems
            self.ui_state.mode = Reading(text, lines)
        else:
            self._show_message(text, is_error=is_error, hint=hint)

    def clear_message(self) -> None:
        """Remove the message. Called on every key press."""
        self.ui_state.message, self._message_since = None, None

    # -- internals ---------------------------------------------------------------------------

    def _target_tunnels(self, names: tuple[str, ...] | None) -> list[TunnelSnapshot]:
        tunnels = self.model.tunnels
        if names is None and self.ui_state.page is not None:
            names = (self.ui_state.page.name,)
        if names is not None:
            return [tunnels[name] for name in names if name in tunnels]
        if self.ui_state.marked:
            return [tunnel for tunnel in tunnels.values() if tunnel.name in self.ui_state.marked]
        return list(self.cursor.tunnels())

    def _selected_tunnel(self) -> TunnelSnapshot | None:
        """Return the tunnel of the page or under the cursor. Without one, show why."""
        page = self.ui_state.page
        row = self.cursor.row() if page is None else self.model.tunnels.get(page.name)
        if isinstance(row, FoldedGroup):
            text, hint = f"{row.name} is a folded group", "Space unfolds it"
            self._show_message(text, is_error=True, hint=hint)
            return None
        if row is None:
            self._show_message("no tunnel is selected", is_error=True)
        return row

    def _show_log_of(self, target: str) -> None:
        match target:
            case "all" | "off":
                self.show_log("all" if target == "all" else "off")
            case name:
                self.cursor.reveal(name)
                self.show_log("selected")

    def _fetch_missing_log(self) -> None:
        """Fetch the log of the selected tunnel, since the shared log may not reach back as far."""
        page, name = self.ui_state.page, self.ui_state.selected
        is_shown = self.ui_state.is_detail_open or self.ui_state.log_scope == "selected"
        if page is not None:
            name, is_shown = page.name, True
        elif self.ui_state.selected_group is not None:
            return  # the shared log is enough for several tunnels
        if is_shown and name is not None and self.model.tunnel_records(name) is None:
            self.dispatch(FetchLog(name))

    def _show_message(self, text: str, *, is_error: bool = False, hint: str = "") -> None:
        self.ui_state.message, self._message_since = Message(text, is_error, hint), None


_SIMPLE_COMMANDS: dict[command_parser.SimpleName, Callable[[Controller], None]] = {
    "edit": Controller.edit_config,
    "problems": Controller.toggle_problems_first,
    "reload": Controller.ask_to_reload,
    "help": Controller.show_help,
    "quit": Controller.quit,
}
