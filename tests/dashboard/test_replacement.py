"""What the dashboard shows while the connection of a tunnel is being replaced."""

from __future__ import annotations

import pytest

from tests.control.fakes import REFUSED, a_tunnel
from tests.dashboard.sample_model import ALL, ControllerHarness
from tunnelkeeper.control.payloads import TunnelEvent
from tunnelkeeper.core.snapshot import ProgressSnapshot, ReplacementSnapshot

CONNECTING = ReplacementSnapshot("connecting", 2, ProgressSnapshot("me@relay:22", "key_exchange"))
FAILED = ReplacementSnapshot("backoff", 3, retry_at="2026-11-22T12:03:16Z", failure=REFUSED)
DRAINING = ReplacementSnapshot("draining", connections=4, closes_at="2026-11-22T12:08:12Z")


@pytest.mark.parametrize(
    ("replacement", "row", "detail"),
    [
        (
            CONNECTING,
            "replacing: key exchange",
            "new connection, attempt 2: key exchange  me@relay:22",
        ),
        (ReplacementSnapshot("connecting", 1), "replacing", "new connection, attempt 1"),
        (FAILED, "not replaced", "attempt 3 failed, trying again in 4s"),
        (DRAINING, "draining 4", "4 open on the old connection, closes in at most 5m"),
        (ReplacementSnapshot("draining"), "draining 0", "0 open on the old connection"),
    ],
)
def test_the_row_shows_the_progress_and_the_detail_pane_shows_more(
    replacement: ReplacementSnapshot, row: str, detail: str
) -> None:
    harness = ControllerHarness(a_tunnel("db", replacement=replacement))
    (line,) = [line for line in harness.lines() if line.split()[1:2] == ["db"]]
    harness.controller.toggle_detail()

    assert line.rstrip().endswith(row)
    assert detail in harness.text()


def test_the_detail_pane_shows_the_failure_of_a_replacement_and_its_hint() -> None:
    harness = ControllerHarness(a_tunnel("db", replacement=FAILED))
    harness.controller.toggle_detail()

    assert REFUSED.message in harness.text()
    assert REFUSED.hint in harness.text()


def test_a_row_follows_the_replacement_if_nothing_else_changes() -> None:
    harness = ControllerHarness(*ALL)
    harness.model.on_event(TunnelEvent(a_tunnel("deep", replacement=DRAINING)), 1001)
    assert "draining 4" in harness.text()
    harness.model.on_event(TunnelEvent(a_tunnel("deep")), 1002)
    assert "draining" not in harness.text()


def test_a_graceful_restart_of_several_tunnels_is_named_in_the_question() -> None:
    harness = ControllerHarness()
    harness.controller.cursor.toggle_all_marks()
    harness.controller.control_tunnels("restart", graceful=True)

    assert "restart 6 tunnels gracefully?" in harness.text()
