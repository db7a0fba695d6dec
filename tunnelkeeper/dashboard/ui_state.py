"""The state of the user interface, and the actions that a person can ask for. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from tunnelkeeper.dashboard.filter_sort import Filter, Sorting

if TYPE_CHECKING:
    from datetime import datetime

    from tunnelkeeper.dashboard.glyphs import Glyphs

LogScope = Literal["all", "chosen", "notes", "off"]
Tone = Literal["good", "bad"]


@dataclass(frozen=True, slots=True)
class Moment:
    """Now: the date for people, and monotonic seconds for what is reckoned."""

    wall: datetime
    monotonic: float


@dataclass(frozen=True, slots=True)
class Browsing:
    """The keys move and act."""


@dataclass(frozen=True, slots=True)
class Typing:
    """A line is being typed; before: what Escape brings back."""

    kind: Literal["filter", "search", "command"]
    initial_text: str = ""


@dataclass(frozen=True, slots=True)
class Confirming:
    """A question that `y` answers with a deed, and anything else with nothing."""

    question: str
    action: Action


@dataclass(frozen=True, slots=True)
class Reading:
    """A page in place of the table: help, or problems that do not fit into a line."""

    title: str
    lines: tuple[str, ...]
    top: int = 0


Mode = Browsing | Typing | Confirming | Reading


@dataclass(frozen=True, slots=True)
class Message:
    """The answer to the last deed; shown until the next key, or for a while."""

    text: str
    tone: Tone = "good"


@dataclass(slots=True)
class UiState:
    """notes: lines that the pane of the log can show, too: what the demo lets one try."""

    glyphs: Glyphs
    selected: str | None = None
    top: int = 0
    marked: set[str] = field(default_factory=set)
    filter: Filter = field(default_factory=Filter)
    sorting: Sorting = field(default_factory=Sorting)
    mode: Mode = field(default_factory=Browsing)
    message: Message | None = None
    is_detail_open: bool = False
    log_scope: LogScope = "all"
    log_offset: int = 0
    """How many records the log is scrolled back from its end."""
    selected_row: int = 0
    """Where the selected tunnel was in the table last, for when it goes away."""
    search: str = ""
    notes: tuple[str, ...] = ()


Method = Literal["start", "stop", "restart"]


@dataclass(frozen=True, slots=True)
class TunnelAction:
    """Ask the supervisor to start, stop or restart tunnels. words: what that is to the person.

    graceful, of a restart: connect anew first, and let open transfers finish.
    """

    method: Method
    names: tuple[str, ...]
    description: str
    graceful: bool = False


@dataclass(frozen=True, slots=True)
class Reload:
    """Have the config file read again."""


@dataclass(frozen=True, slots=True)
class StartSupervisor:
    """Start one in the background."""


@dataclass(frozen=True, slots=True)
class FetchLog:
    """Fetch a tunnel's own log."""

    name: str


@dataclass(frozen=True, slots=True)
class Quit:
    """Leave; the supervisor goes on."""


Action = TunnelAction | Reload | StartSupervisor | FetchLog | Quit
