"""The whole screen as lines: nothing is too wide, nothing is missing, nothing breaks the grid."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.control.fakes import NOON, a_forward, a_tunnel
from tests.dashboard.sample_model import ALL, DB, NOW, ControllerHarness, lines_of, text_of
from tunnelkeeper.control.payloads import LogEvent
from tunnelkeeper.core.snapshot import CheckSnapshot, FailureSnapshot, LogRecord, ProgressSnapshot
from tunnelkeeper.dashboard.controller import Controller
from tunnelkeeper.dashboard.glyphs import ASCII, UNICODE
from tunnelkeeper.dashboard.model import Model
from tunnelkeeper.dashboard.screen import compute_heights
from tunnelkeeper.dashboard.text_width import line_width
from tunnelkeeper.dashboard.ui_state import UiState

SIZES = [(60, 15), (80, 24), (120, 35), (200, 50), (400, 100)]
NASTY = "\x1b[31mred\x1b[0m\r\n\t漢字\u0301\u202e👩\u200d👩 " + "long " * 40


@pytest.mark.parametrize(("cells", "height"), SIZES)
@pytest.mark.parametrize("signs", [UNICODE, ASCII])
@pytest.mark.parametrize("scene", ["table", "detail", "help", "gone", "nobody"])
def test_every_screen_is_filled_exactly(cells: int, height: int, signs: object, scene: str) -> None:
    alone = ControllerHarness(glyphs=ASCII if signs is ASCII else UNICODE)
    match scene:
        case "detail":
            alone.controller.select("half")
            alone.controller.toggle_detail()
        case "help":
            alone.controller.show_help()
        case "gone":
            alone.model.on_disconnect("no supervisor is running", 990)
        case "nobody":
            alone.controller.model = Model()
            alone.controller.model.on_disconnect("no supervisor is running at /run/x", 990)
    lines = lines_of(alone.draw(cells, height))

    assert len(lines) == height
    assert {line_width(line) for line in lines} == {cells}


@given(st.integers(4, 120), st.integers(0, 2000), st.integers(0, 60), st.booleans())
def test_a_screen_is_shared_out_without_a_rest(
    height: int, rows: int, detail: int, has_log: bool
) -> None:
    heights = compute_heights(height, rows, detail, has_log=has_log)
    parts = (heights.header, heights.body, heights.detail, heights.log, heights.bar)

    assert sum(parts) == height
    assert all(part >= 0 for part in parts)
    assert has_log or heights.log == 0


@settings(max_examples=40, deadline=None)
@given(
    st.text(max_size=80), st.text(max_size=300), st.text(max_size=60), st.sampled_from(SIZES[:3])
)
def test_no_text_from_outside_breaks_the_grid(
    host: str, message: str, listen: str, size: tuple[int, int]
) -> None:
    failure = FailureSnapshot(message[:20], host, message, listen, NOON)
    forward = a_forward(listen=listen, connect=host, failure=failure, state="failed")
    alone = ControllerHarness(
        a_tunnel("db", "blocked", host=host, jump=[listen], failure=failure, forwards=[forward])
    )
    alone.model.on_event(LogEvent(LogRecord(NOON, "error", host, message)), 1001)
    alone.controller.toggle_detail()
    lines = lines_of(alone.draw(*size))

    assert len(lines) == size[1]
    assert {line_width(line) for line in lines} == {size[0]}
    assert all(text_of(line).isprintable() for line in lines)


def test_an_escape_sequence_in_a_failure_is_text() -> None:
    failure = FailureSnapshot("auth", "me@relay:22", NASTY, "", NOON)
    alone = ControllerHarness(a_tunnel("db", "blocked", failure=failure))
    alone.controller.toggle_detail()

    assert "\\x1b[31mred\\x1b[0m" in alone.text()
    assert "\x1b" not in alone.text()


def test_plain_ascii_is_plain_ascii() -> None:
    failure = FailureSnapshot("auth", "me@relay:22", "höher 漢字", "", NOON)
    alone = ControllerHarness(*ALL, a_tunnel("odd", "blocked", failure=failure), glyphs=ASCII)
    alone.controller.select("odd")
    alone.controller.toggle_detail()

    assert alone.text().isascii()
    assert "h\\xf6her" in alone.text()


def test_a_row_tells_all_there_is_to_tell() -> None:
    busy = a_tunnel("db", jump=["one@b1:22"], restarts=3, connections=4, rtt_ms=12.4)
    row = ControllerHarness(busy).lines(200)[4]

    for told in ("● db", "up", "me@relay via one@b1", "L 5432 → db.internal:5432"):
        assert told in row
    assert row.split()[-7:] == ["3m", "12s", "12ms", "0", "0", "4", "3"]


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("away", ["↻ away", "in 4s", "refused x3"]),
        ("stuck", ["✖ stuck", "in 5m", "refused"]),
        ("half", ["◐ half", "refused"]),
        ("spare", ["○ spare", "3m 12s"]),
    ],
)
def test_each_state_has_a_sign_and_its_time(name: str, words: list[str]) -> None:
    [row] = [line for line in ControllerHarness().lines(height=60) if f" {name} " in line]

    assert all(word in row for word in words)


def test_every_state_has_a_sign_of_its_own() -> None:
    for signs in (UNICODE, ASCII):
        assert len(set(signs.states.values())) == len(signs.states) == 7


def test_the_header_counts_states_and_tells_of_the_supervisor() -> None:
    first, second = ControllerHarness().lines()[:2]

    for told in ("● 2 up", "◐ 1 degraded", "↻ 1 backoff", "✖ 1 blocked", "○ 1 stopped"):
        assert told in first
    for told in ("/etc/tunnels.toml", "0.1.0", "up 3m 12s", "50 MB", "0 B in, 0 B out"):
        assert told in second


def test_the_detail_has_hops_forwards_the_whole_failure_and_events() -> None:
    alone = ControllerHarness()
    alone.controller.select("half")
    alone.controller.toggle_detail()
    text = alone.text(height=60)

    for told in ("half  ◐ degraded", "me@relay:22", "L 5432 → db.internal:5432", "✖ L 80"):
        assert told in text
    for told in ("refused", "Connection refused", "→ is sshd running?", "aes128-gcm", "Traffic"):
        assert told in text


@pytest.mark.parametrize(
    ("check", "words"),
    [
        (CheckSnapshot("tcp", ok=True, at=NOON, ms=1.73), "0 open of 0  tcp 1.7 ms"),
        (CheckSnapshot("http", ok=False, at=NOON, message="500"), "http failed"),
        (CheckSnapshot("tcp"), "tcp unknown"),
    ],
)
def test_a_checked_forward_shows_what_its_check_found(check: CheckSnapshot, words: str) -> None:
    alone = ControllerHarness(a_tunnel("db", hops=[], forwards=[a_forward(check=check)]))
    alone.controller.toggle_detail()

    assert words in alone.text()


def test_the_events_of_the_chosen_tunnel_are_in_its_detail() -> None:
    alone = ControllerHarness()
    alone.controller.toggle_detail()

    assert any(line.lstrip().startswith("Events   12:00:00  connecting") for line in alone.lines())


def test_a_connecting_tunnel_shows_its_step() -> None:
    progress = ProgressSnapshot("me@relay:22", "key_exchange")
    alone = ControllerHarness(
        msgspec.structs.replace(DB, state="connecting", progress=progress, attempt=2)
    )
    alone.controller.toggle_detail()

    assert "key exchange, try 2" in alone.text()
    assert "me@relay:22  1.2 ms  key exchange" in alone.text()


def test_the_last_picture_is_without_colours_and_says_so() -> None:
    alone = ControllerHarness()
    alone.model.on_disconnect("no supervisor is running", NOW.monotonic - 7)
    picture = alone.draw()

    assert "supervisor disconnected 7s ago; showing its last state" in text_of(picture.header[1])
    styles = {style for line in picture.body for style, text in line if text.strip()}
    assert styles == {"class:faded"}


def test_without_a_supervisor_it_says_what_to_do() -> None:
    board = Model()
    board.on_disconnect("no supervisor is running at /run/x.sock", 990)
    desk = Controller(board, UiState(UNICODE), lambda _deed: None)
    text = "\n".join(text_of(line) for line in lines_of(desk.draw(NOW, 80, 24)))

    assert "no supervisor is running at /run/x.sock" in text
    assert "u starts one, q quits" in text


def test_of_many_tunnels_only_those_on_the_screen_are_drawn() -> None:
    alone = ControllerHarness(*(a_tunnel(f"t{number}") for number in range(1000)))
    alone.controller.move(700)
    picture = alone.draw()

    assert len(picture.rows) < 35
    assert "t700" in picture.rows
