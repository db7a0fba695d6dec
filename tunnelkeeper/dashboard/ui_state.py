"""The state of the user interface and the actions of the user. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from tunnelkeeper.dashboard.answering import Answering, QuestionAction
from tunnelkeeper.dashboard.columns import RecentCells
from tunnelkeeper.dashboard.filter_sort import Filter, Sorting

if TYPE_CHECKING:
    from datetime import datetime

    from tunnelkeeper.dashboard.clipboard import CopiedForward
    from tunnelkeeper.dashboard.glyphs import Glyphs

LogScope = Literal["all", "selected", "notes", "off"]


@dataclass(frozen=True, slots=True)
class Moment:
    """The current time: wall-clock time for display, monotonic seconds for calculation."""

    wall: datetime
    monotonic: float


@dataclass(frozen=True, slots=True)
class Browsing:
    """The keys control the table."""


@dataclass(frozen=True, slots=True)
class Typing:
    """The input line is open. Escape restores `initial_text`."""

    kind: Literal["filter", "search", "command"]
    initial_text: str = ""


@dataclass(frozen=True, slots=True)
class Confirming:
    """A question is open. `y` runs the action, every other key cancels it."""

    question: str
    action: Action


@dataclass(frozen=True, slots=True)
class Reading:
    """A page replaces the table: help, or problems that do not fit on one line."""

    title: str
    lines: tuple[str, ...]
    first_line: int = 0


@dataclass(frozen=True, slots=True)
class TunnelPage:
    """The page of one tunnel, which replaces the table. first_line: of the part above the log."""

    name: str
    first_line: int = 0


Mode = Browsing | Typing | Confirming | Reading | Answering


@dataclass(frozen=True, slots=True)
class Message:
    """The result of the last action, shown until the next key or a timeout.

    hint: what to do about it, or how to undo it.
    """

    text: str
    is_error: bool = False
    hint: str = ""


@dataclass(slots=True)
class UiState:
    """The state of the user interface: what is selected, shown, typed and marked."""

    glyphs: Glyphs
    selected: str | None = None
    first_row: int = 0
    """The index of the first visible row."""
    marked: set[str] = field(default_factory=set)
    filter: Filter = field(default_factory=Filter)
    sorting: Sorting = field(default_factory=Sorting)
    mode: Mode = field(default_factory=Browsing)
    message: Message | None = None
    page: TunnelPage | None = None
    """The page that replaces the table. The keys for a tunnel then apply to its tunnel."""
    is_detail_open: bool = False
    log_scope: LogScope = "all"
    log_offset: int = 0
    """The number of records that the log is scrolled back from its end."""
    recent_cells: RecentCells = field(default_factory=RecentCells)
    selected_row: int = 0
    """The last row of the selected tunnel. If it disappears, the cursor stays on this row."""
    selected_group: str | None = None
    """The folded group under the cursor, if any. `selected` is one of its tunnels."""
    folded: set[str] = field(default_factory=set)
    """The names of the folded groups. A group that leaves the config file stays folded."""
    search: str = ""
    copied: CopiedForward | None = None
    """The forward whose address was copied last, until the cursor moves."""
    notes: tuple[str, ...] = ()
    """Lines that the log pane can show instead of the log: the suggestions of the demo."""


Method = Literal["start", "stop", "restart"]


@dataclass(frozen=True, slots=True)
class TunnelAction:
    """Start, stop or restart tunnels. `description` names the action to the user.

    A graceful restart connects before it closes the old connection, and lets transfers finish.
    undo: what the user can do to undo the action. Empty if nothing undoes it.
    """

    method: Method
    names: tuple[str, ...]
    description: str
    graceful: bool = False
    undo: str = ""


@dataclass(frozen=True, slots=True)
class Reload:
    """Reload the config file."""


@dataclass(frozen=True, slots=True)
class StartSupervisor:
    """Start a supervisor in the background."""


@dataclass(frozen=True, slots=True)
class CopyText:
    """Put a text on the clipboard of the terminal."""

    text: str


@dataclass(frozen=True, slots=True)
class EditConfig:
    """Open the config file in the user's editor, at a tunnel if one is selected."""

    tunnel: str | None


@dataclass(frozen=True, slots=True)
class FetchLog:
    """Fetch a tunnel's own log."""

    name: str


@dataclass(frozen=True, slots=True)
class Quit:
    """Quit the dashboard. The supervisor keeps running."""


Action = (
    TunnelAction
    | Reload
    | StartSupervisor
    | CopyText
    | EditConfig
    | FetchLog
    | QuestionAction
    | Quit
)
