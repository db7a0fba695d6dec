"""Sample tunnels, models and controllers for the tests of the dashboard, at a fixed time."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from tests.control.fakes import NOON, REFUSED, a_forward, a_tunnel
from tunnelkeeper.core.snapshot import HopSnapshot, LogRecord, StatusSnapshot, SupervisorSnapshot
from tunnelkeeper.dashboard.controller import Controller
from tunnelkeeper.dashboard.glyphs import UNICODE, Glyphs
from tunnelkeeper.dashboard.model import Model
from tunnelkeeper.dashboard.ui_state import Moment, UiState

if TYPE_CHECKING:
    from tunnelkeeper.core.snapshot import TunnelSnapshot
    from tunnelkeeper.dashboard.screen import Screen
    from tunnelkeeper.dashboard.text_width import Line
    from tunnelkeeper.dashboard.ui_state import Action

NOW = Moment(datetime(2026, 11, 22, 12, 3, 12, tzinfo=UTC), 1000.0)
SUPERVISOR = SupervisorSnapshot("0.1.0", 83, "/etc/tunnels.toml", NOON, 50_000_000, 1.0, 13)

DB = a_tunnel("db", groups=["work"], hops=[HopSnapshot("me@relay:22", connected=True, rtt_ms=1.2)])
DEEP = a_tunnel("deep", jump=["one@b1:22", "two@b2:2200"])
HALF = a_tunnel(
    "half",
    "degraded",
    failure=REFUSED,
    forwards=[a_forward(), a_forward(listen="127.0.0.1:80", state="failed", failure=REFUSED)],
)
AWAY = a_tunnel(
    "away",
    "backoff",
    attempt=3,
    retry_at="2026-11-22T12:03:16Z",
    failure=REFUSED,
    rtt_ms=None,
    cipher=None,
    groups=["work", "night"],
)
STUCK = a_tunnel("stuck", "blocked", failure=REFUSED, attempt=1, retry_at="2026-11-22T12:08:12Z")
SPARE = a_tunnel("spare", "stopped", wanted=False, rtt_ms=None)
ALL = (DB, DEEP, HALF, AWAY, STUCK, SPARE)


def make_model(*tunnels: TunnelSnapshot) -> Model:
    """Return a model that has just received its first status."""
    model = Model()
    model.on_logs(
        [LogRecord(NOON, "info", "db", "connecting"), LogRecord(NOON, "warning", "", "hot")]
    )
    model.on_status(StatusSnapshot(SUPERVISOR, list(tunnels or ALL)), NOW.monotonic)
    return model


class ControllerHarness:
    """A controller that records its actions instead of running them."""

    def __init__(self, *tunnels: TunnelSnapshot, glyphs: Glyphs = UNICODE) -> None:
        self.actions: list[Action] = []
        self.model = make_model(*tunnels)
        self.ui_state = UiState(glyphs)
        self.controller = Controller(self.model, self.ui_state, self.actions.append)
        self.draw()

    def draw(self, width: int = 120, height: int = 35) -> Screen:
        return self.controller.draw(NOW, width, height)

    def lines(self, width: int = 120, height: int = 35) -> list[str]:
        """Return the lines of the screen as text."""
        return [text_of(line) for line in lines_of(self.draw(width, height))]

    def text(self, width: int = 120, height: int = 35) -> str:
        return "\n".join(self.lines(width, height))


def lines_of(screen: Screen) -> list[Line]:
    """Return all lines of a screen, from the top."""
    return [*screen.header, *screen.body, *screen.detail, *screen.log, *screen.bar]


def text_of(line: Line) -> str:
    return "".join(text for _, text in line)
