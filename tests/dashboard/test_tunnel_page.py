"""The page of one tunnel: what it shows, how it scrolls, and which keys apply."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.control.fakes import NOON, REFUSED, a_forward, a_tunnel
from tests.dashboard.question_harness import QuestionHarness
from tests.dashboard.sample_model import DB, ControllerHarness, lines_of, text_of
from tests.dashboard.sample_questions import PASSPHRASE
from tunnelkeeper.control.payloads import LogEvent, RemovedEvent, TunnelEvent
from tunnelkeeper.core.snapshot import CheckSnapshot, HopSnapshot, LogRecord
from tunnelkeeper.dashboard.key_bindings import TUNNEL
from tunnelkeeper.dashboard.text_width import line_width
from tunnelkeeper.dashboard.ui_state import Confirming, CopyText, FetchLog, TunnelAction

MANY = a_tunnel(
    "many",
    "degraded",
    groups=["work"],
    jump=["one@b1:22"],
    hops=[
        HopSnapshot("one@b1:22", connected=True, rtt_ms=1.5),
        HopSnapshot("me@relay:22", connected=True, rtt_ms=7.25),
    ],
    forwards=[
        a_forward(check=CheckSnapshot("tcp", ok=True, at="2026-11-22T12:03:00Z", ms=1.7)),
        a_forward(
            listen="127.0.0.1:81",
            state="failed",
            failure=REFUSED,
            check=CheckSnapshot("http", ok=False, at=NOON, message="status 500"),
        ),
        *(a_forward(listen=f"127.0.0.1:{port}") for port in range(9000, 9030)),
    ],
)


def page_of(*tunnels: object) -> ControllerHarness:
    harness = ControllerHarness(*tunnels)  # type: ignore[arg-type]
    harness.controller.open_page()
    return harness


def test_i_shows_everything_about_the_selected_tunnel_and_returns() -> None:
    harness = page_of(MANY)
    text = harness.text(120, 80)

    for expected in ("many", "◐ degraded", "one@b1:22", "1.5 ms", "7.2 ms", "aes128-gcm"):
        assert expected in text
    for expected in ("L 9029", "refused", "is sshd running?", "log of many"):
        assert expected in text
    assert "L 5432 -> db.internal:5432: tcp succeeded in 1.7 ms, 12s ago" in text
    assert "L 81 -> db.internal:5432: http failed, 3m 12s ago: status 500" in text
    assert "tunnelkeeper show many" in text
    assert "Esc back" in harness.lines()[-1]
    harness.controller.escape()
    assert "tunnels 1" in harness.text()


@pytest.mark.parametrize("size", [(60, 15), (80, 24), (120, 35)])
def test_the_page_scrolls_to_its_end_and_shows_its_position(size: tuple[int, int]) -> None:
    harness = page_of(MANY)
    assert "lines 1-" in harness.text(*size)
    seen: set[str] = set()
    for _ in range(100):
        seen |= {line.strip() for line in harness.lines(*size)}
        harness.controller.move_pages(1)
    assert any("tunnelkeeper show many" in line for line in seen)
    assert all(any(f"L {port} " in line for line in seen) for port in range(9000, 9030))
    last = harness.text(*size)
    harness.controller.move(-1)

    assert harness.text(*size) != last


@settings(max_examples=30, deadline=None)
@given(st.integers(40, 140), st.integers(10, 60), st.lists(st.integers(-40, 40), max_size=4))
def test_the_page_has_exactly_the_size_of_the_terminal(
    cells: int, height: int, moves: list[int]
) -> None:
    harness = page_of(MANY)
    for lines in moves:
        harness.controller.move(lines)
        rendered = lines_of(harness.draw(cells, height))
        assert len(rendered) == height
        assert {line_width(line) for line in rendered} == {cells}


def test_the_log_of_the_page_is_that_of_the_tunnel_and_scrolls() -> None:
    harness = page_of()
    assert harness.actions == [FetchLog("db")]
    for number in range(50):
        record = LogRecord(NOON, "info", "db" if number % 2 else "deep", f"line {number}.")
        harness.model.on_event(LogEvent(record), 1001)
    assert "line 49." in harness.text()
    assert "line 48." not in harness.text()
    harness.controller.scroll_log(3)
    assert "line 49." not in harness.text()
    assert "3 back" in harness.text()
    harness.controller.edit_search()
    harness.controller.on_text_changed("line 11")
    assert "line 11." in harness.text()
    assert "line 43." not in harness.text()


def test_the_page_follows_its_tunnel_until_it_is_removed() -> None:
    harness = page_of()
    harness.model.on_event(TunnelEvent(msgspec.structs.replace(DB, state="stopped")), 1001)
    assert "○ stopped" in harness.text()
    assert "s start" in harness.lines()[-1]
    harness.model.on_event(RemovedEvent("db"), 1002)

    assert "the supervisor no longer has this tunnel" in harness.text()


def test_keys_for_a_tunnel_apply_to_that_of_the_page_and_not_to_marked_ones() -> None:
    for operation in TUNNEL.values():
        harness = ControllerHarness()
        harness.controller.cursor.toggle_all_marks()
        harness.controller.select("away")
        harness.controller.open_page()
        operation(harness.controller)

        actions = [action for action in harness.actions if isinstance(action, TunnelAction)]
        assert {action.names for action in actions} <= {("away",)}
        mode = harness.ui_state.mode
        assert not (isinstance(mode, Confirming) and isinstance(mode.action, TunnelAction))
        if CopyText("127.0.0.1:5432") in harness.actions:
            assert "copied 127.0.0.1:5432" in harness.text()


def test_help_and_a_confirmation_return_to_the_page() -> None:
    harness = page_of()
    harness.controller.show_help()
    assert "lines 1-" in harness.text()
    harness.controller.escape()
    assert "log of db" in harness.text()
    harness.controller.ask_to_reload()
    harness.controller.confirm(yes=False)
    assert "log of db" in harness.text()


def test_a_question_opens_over_the_page() -> None:
    harness = QuestionHarness(PASSPHRASE)
    harness.controller.select("db")
    harness.controller.open_page()
    harness.questions.open()
    screen = harness.draw(80, 24)

    lines = [text_of(line) for line in lines_of(screen)]
    assert len(lines) == 24
    assert any("passphrase of a key" in line for line in lines)
    assert lines[2].startswith("─ db ")


def test_a_folded_group_has_no_page() -> None:
    harness = ControllerHarness()
    harness.controller.toggle_fold()
    harness.controller.open_page()

    assert harness.ui_state.page is None
    assert "work is a folded group  Space unfolds it" in harness.lines()[-1]
