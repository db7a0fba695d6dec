"""The whole screen as lines: its size, its contents, and text that must not break the layout."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.control.fakes import NOON, a_forward, a_tunnel
from tests.dashboard.sample_model import (
    ALL,
    NOW,
    SUPERVISOR,
    ControllerHarness,
    lines_of,
    text_of,
)
from tunnelkeeper.control.payloads import CountersEvent, LogEvent
from tunnelkeeper.core.snapshot import (
    FailureSnapshot,
    LogRecord,
)
from tunnelkeeper.dashboard.controller import Controller
from tunnelkeeper.dashboard.filter_sort import Filter
from tunnelkeeper.dashboard.glyphs import ASCII, UNICODE
from tunnelkeeper.dashboard.heights import compute_heights
from tunnelkeeper.dashboard.model import Model
from tunnelkeeper.dashboard.text_width import line_width
from tunnelkeeper.dashboard.ui_state import UiState

SIZES = [(40, 10), (60, 15), (80, 24), (120, 35), (200, 50), (400, 100)]
HOSTILE_TEXT = "\x1b[31mred\x1b[0m\r\n\t漢字\u0301\u202e👩\u200d👩 " + "long " * 40


@pytest.mark.parametrize(("cells", "height"), SIZES)
@pytest.mark.parametrize("glyphs", [UNICODE, ASCII])
@pytest.mark.parametrize("scene", ["table", "detail", "help", "disconnected", "no supervisor"])
def test_every_screen_has_exactly_the_size_of_the_terminal(
    cells: int, height: int, glyphs: object, scene: str
) -> None:
    harness = ControllerHarness(glyphs=ASCII if glyphs is ASCII else UNICODE)
    match scene:
        case "detail":
            harness.controller.select("half")
            harness.controller.toggle_detail()
        case "help":
            harness.controller.show_help()
        case "disconnected":
            harness.model.on_disconnect("no supervisor is running", 990)
        case "no supervisor":
            harness.controller.model = Model()
            harness.controller.model.on_disconnect(
                "cannot connect to the supervisor at /run/x", 990
            )
    lines = lines_of(harness.draw(cells, height))

    assert len(lines) == height
    assert {line_width(line) for line in lines} == {cells}


@given(st.integers(4, 120), st.integers(0, 2000), st.integers(0, 60), st.booleans())
def test_the_heights_of_the_parts_add_up_to_the_screen(
    height: int, rows: int, detail: int, has_log: bool
) -> None:
    heights = compute_heights(height, rows, detail, has_log=has_log)
    parts = (heights.header, heights.body, heights.detail, heights.log, heights.bar)

    assert sum(parts) == height
    assert all(part >= 0 for part in parts)
    assert has_log or heights.log == 0


@settings(max_examples=40, deadline=None)
@given(
    st.text(max_size=80), st.text(max_size=300), st.text(max_size=60), st.sampled_from(SIZES[:4])
)
def test_no_text_from_outside_breaks_the_layout(
    host: str, message: str, listen: str, size: tuple[int, int]
) -> None:
    failure = FailureSnapshot(message[:20], host, message, listen, NOON)
    forward = a_forward(listen=listen, connect=host, failure=failure, state="failed")
    harness = ControllerHarness(
        a_tunnel("db", "blocked", host=host, jump=[listen], failure=failure, forwards=[forward])
    )
    harness.model.on_event(LogEvent(LogRecord(NOON, "error", host, message)), 1001)
    harness.controller.toggle_detail()
    lines = lines_of(harness.draw(*size))

    assert len(lines) == size[1]
    assert {line_width(line) for line in lines} == {size[0]}
    assert all(text_of(line).isprintable() for line in lines)


def test_an_escape_sequence_in_a_failure_is_shown_as_text() -> None:
    failure = FailureSnapshot("auth", "me@relay:22", HOSTILE_TEXT, "", NOON)
    harness = ControllerHarness(a_tunnel("db", "blocked", failure=failure))
    harness.controller.toggle_detail()

    assert "\\x1b[31mred\\x1b[0m" in harness.text()
    assert "\x1b" not in harness.text()


def test_the_ascii_glyphs_draw_nothing_but_ascii() -> None:
    failure = FailureSnapshot("auth", "me@relay:22", "höher 漢字", "", NOON)
    harness = ControllerHarness(*ALL, a_tunnel("odd", "blocked", failure=failure), glyphs=ASCII)
    harness.controller.select("odd")
    harness.controller.toggle_detail()

    assert harness.text().isascii()
    assert "h\\xf6her" in harness.text()


def test_a_wide_row_shows_every_column() -> None:
    busy = a_tunnel(
        "db",
        jump=["one@b1:22"],
        restarts=3,
        connections=4,
        connections_total=9,
        rtt_ms=12.4,
        bytes_in=1,
    )
    row = ControllerHarness(busy).lines(200)[4]

    for expected in ("● db", "up", "me@relay via one@b1", "L 5432 → db.internal:5432"):
        assert expected in row
    assert row.split()[-7:] == ["3m", "12s", "12ms", "0", "0", "4", "3"]


@pytest.mark.parametrize(
    ("name", "texts"),
    [
        ("away", ["↻ away", "in 4s", "refused x3"]),
        ("stuck", ["✖ stuck", "in 5m", "refused"]),
        ("half", ["◐ half", "refused"]),
        ("spare", ["○ spare", "3m 12s"]),
    ],
)
def test_a_row_shows_the_glyph_and_the_time_of_its_state(name: str, texts: list[str]) -> None:
    [row] = [line for line in ControllerHarness().lines(height=60) if f" {name} " in line]

    assert all(text in row for text in texts)


def test_every_state_has_a_glyph_of_its_own() -> None:
    for glyphs in (UNICODE, ASCII):
        assert len(set(glyphs.states.values())) == len(glyphs.states) == 7


def test_the_header_counts_states_and_describes_the_supervisor() -> None:
    first, second = ControllerHarness().lines()[:2]

    for expected in ("● 2 up", "◐ 1 degraded", "↻ 1 backoff", "✖ 1 blocked", "○ 1 stopped"):
        assert expected in first
    for expected in ("/etc/tunnels.toml", "0.1.0", "up 3m 12s", "50 MB", "0 B in, 0 B out"):
        assert expected in second


def test_a_long_path_of_the_config_file_keeps_its_ends() -> None:
    harness = ControllerHarness()
    long_path = msgspec.structs.replace(SUPERVISOR, config=f"/etc/{'folder/' * 20}tunnels.toml")
    harness.model.on_event(CountersEvent(long_path, []), NOW.monotonic + 1)
    line = harness.lines(80)[1]

    assert line.startswith(" /etc/folder/")
    assert line.rstrip().endswith("/tunnels.toml")
    assert "…" in line


def test_the_header_says_that_the_config_file_has_changed() -> None:
    harness = ControllerHarness()
    changed = msgspec.structs.replace(SUPERVISOR, config_changed=True)
    harness.model.on_event(CountersEvent(changed, []), NOW.monotonic + 1)

    for width in (80, 120):
        assert "file changed, R reloads  /etc/tunnels.toml" in harness.lines(width)[1]


def test_a_disconnected_screen_has_a_notice_and_no_colours() -> None:
    harness = ControllerHarness()
    harness.model.on_disconnect("no supervisor is running", NOW.monotonic - 7)
    screen = harness.draw()

    assert "supervisor disconnected 7s ago; showing its last state" in text_of(screen.header[1])
    styles = {style for line in screen.body for style, text in line if text.strip()}
    assert styles == {"class:faded"}


def test_without_a_supervisor_the_screen_shows_the_reason_and_the_keys() -> None:
    model = Model()
    model.on_disconnect("cannot connect to the supervisor at /run/x.sock", 990)
    controller = Controller(model, UiState(UNICODE), lambda _action: None)
    text = "\n".join(text_of(line) for line in lines_of(controller.draw(NOW, 80, 24)))

    assert "cannot connect to the supervisor at /run/x.sock" in text
    assert "u starts one, e edits the config file, q quits" in text


def test_only_visible_rows_are_rendered_and_the_title_counts_the_others() -> None:
    harness = ControllerHarness(*(a_tunnel(f"t{number}") for number in range(1000)))
    harness.controller.move(700)
    screen = harness.draw()

    assert len(screen.rows) < 35
    assert "t700" in screen.rows
    assert f"tunnels {701 - len(screen.rows) + 1}-701 of 1000" in harness.text()


@pytest.mark.parametrize(
    ("text", "folded", "expected"),
    [
        ("", (), "tunnels 1-18 of 60 "),
        ("group=a", (), "tunnels 30 of 60  1-18 of 30 "),
        ("", ("b",), "tunnels 60  rows 1-18 of 31 "),
    ],
)
def test_the_title_says_which_rows_are_on_the_screen(
    text: str, folded: tuple[str, ...], expected: str
) -> None:
    harness = ControllerHarness(
        *(a_tunnel(f"t{number}", groups=["ab"[number // 30]]) for number in range(60))
    )
    harness.ui_state.filter = Filter(text)
    harness.ui_state.folded = set(folded)

    assert expected in harness.text(height=29)


def test_a_terminal_that_is_too_small_names_the_size_that_is_needed() -> None:
    for cells, height in ((39, 24), (80, 9), (1, 1)):
        lines = ControllerHarness().lines(cells, height)
        assert len(lines) == height
        assert {len(line) for line in lines} == {cells}
    assert "needs a terminal of 40x10; this one is 80x9" in ControllerHarness().text(80, 9)


def test_the_header_leaves_out_the_names_of_states_on_a_narrow_screen() -> None:
    header = ControllerHarness().lines(40, 10)[0]

    assert header.strip() == "● 2  ◐ 1  ↻ 1  ✖ 1  ○ 1"
