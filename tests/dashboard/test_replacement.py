"""What the dashboard shows while the connection of a tunnel is replaced by another."""

from __future__ import annotations

import pytest

from tests.control.fakes import REFUSED, a_tunnel
from tests.dashboard.sample_model import ALL, ControllerHarness
from tunnelkeeper.control.payloads import TunnelEvent
from tunnelkeeper.core.snapshot import ProgressSnapshot, ReplacementSnapshot

MADE = ReplacementSnapshot("connecting", 2, ProgressSnapshot("me@relay:22", "key_exchange"))
FAILED = ReplacementSnapshot("backoff", 3, retry_at="2026-11-22T12:03:16Z", failure=REFUSED)
DRAINING = ReplacementSnapshot("draining", connections=4, closes_at="2026-11-22T12:08:12Z")


@pytest.mark.parametrize(
    ("replacement", "row", "detail"),
    [
        (MADE, "replacing: key exchange", "new connection, attempt 2: key exchange  me@relay:22"),
        (ReplacementSnapshot("connecting", 1), "replacing", "new connection, attempt 1"),
        (FAILED, "not replaced", "attempt 3 failed, trying again in 4s"),
        (DRAINING, "draining 4", "4 open on the old connection, closes in at most 5m"),
        (ReplacementSnapshot("draining"), "draining 0", "0 open on the old connection"),
    ],
)
def test_the_row_says_how_far_it_is_and_the_detail_says_more(
    replacement: ReplacementSnapshot, row: str, detail: str
) -> None:
    harness = ControllerHarness(a_tunnel("db", replacement=replacement))
    (shown,) = [line for line in harness.lines() if line.split()[1:2] == ["db"]]
    harness.controller.toggle_detail()

    assert shown.rstrip().endswith(row)
    assert detail in harness.text()


def test_why_a_connection_is_not_replaced_is_told_with_what_to_do() -> None:
    harness = ControllerHarness(a_tunnel("db", replacement=FAILED))
    harness.controller.toggle_detail()

    assert REFUSED.message in harness.text()
    assert REFUSED.hint in harness.text()


def test_a_row_follows_the_replacement_though_nothing_else_changes() -> None:
    harness = ControllerHarness(*ALL)
    harness.model.on_event(TunnelEvent(a_tunnel("deep", replacement=DRAINING)), 1001)
    assert "draining 4" in harness.text()
    harness.model.on_event(TunnelEvent(a_tunnel("deep")), 1002)
    assert "draining" not in harness.text()


def test_a_graceful_restart_of_many_is_asked_about_in_its_words() -> None:
    harness = ControllerHarness()
    harness.controller.toggle_all_marks()
    harness.controller.control_tunnels("restart", graceful=True)

    assert "restart 6 tunnels gracefully?" in harness.text()
