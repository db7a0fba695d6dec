"""The rendering of captured terminals as an animated SVG, and the recording of README."""

from __future__ import annotations

import re
from pathlib import Path
from xml.etree import ElementTree as ET

from docs.animated_svg import (
    GAP,
    Frame,
    Pane,
    Screen,
    animated_svg,
    below,
    beside,
    changes,
    lines_of,
)
from docs.terminal_svg import Attributes

SVG = "{http://www.w3.org/2000/svg}"
RECORDING = Path(__file__).parent.parent / "docs" / "recording.svg"
FRAMES = tuple(
    Frame(at, (Screen(text),)) for at, text in enumerate(("a\nsame", "b\nsame", "b\nsame", "c"))
)


def test_a_line_that_stays_is_drawn_once_for_its_whole_time() -> None:
    screens = [(frame.at, lines_of(frame.screens[0])) for frame in FRAMES]

    first = [
        ("".join(c for c, _ in each.cells), each.start, each.end) for each in changes(screens, 0, 5)
    ]
    second = [
        ("".join(c for c, _ in each.cells), each.start, each.end) for each in changes(screens, 1, 5)
    ]

    assert first == [("a", 0, 1), ("b", 1, 3), ("c", 3, 5)]
    assert second == [("same", 0, 3), ("", 3, 5)]


def test_without_animation_the_last_frame_shows() -> None:
    text = animated_svg([Pane("t", 5, 2)], FRAMES, hold=2, title="t")
    hidden = set(re.findall(r"^\.(\S+)\{visibility:hidden", text, re.MULTILINE))
    groups = {
        "".join(t.text or "" for t in group.iter(f"{SVG}text")): group.get("class")
        for group in ET.fromstring(text).iter(f"{SVG}g")
    }

    assert {line for line, name in groups.items() if name not in hidden} == {"c"}


def test_each_line_is_visible_from_its_first_frame_to_its_last() -> None:
    text = animated_svg([Pane("t", 5, 2)], FRAMES, hold=2, title="t")

    assert "@keyframes t100-300{0.00%{visibility:hidden}20.00%{visibility:visible}60.00%{" in text
    assert "@keyframes t0-100{0.00%{visibility:visible}20.00%{visibility:hidden}}" in text
    assert "@keyframes t300-500{0.00%{visibility:hidden}60.00%{visibility:visible}}" in text


def test_a_cursor_is_a_cell_in_reverse_also_behind_the_text() -> None:
    plain, cursor = Attributes(), Attributes(reverse=True)

    assert lines_of(Screen("ab", (0, 0))) == [[("a", cursor), ("b", plain)]]
    assert lines_of(Screen("a", (2, 1))) == [
        [("a", plain)],
        [(" ", plain), (" ", plain), (" ", cursor)],
    ]
    assert lines_of(Screen("a")) == [[("a", plain)]]


def test_titles_are_escaped_and_panes_do_not_overlap() -> None:
    left, right = beside(Pane("<a>", 10, 2), Pane("b", 20, 3))
    under = below(Pane("c", 34, 1), (left, right))

    root = ET.fromstring(
        animated_svg([left, right, under], [Frame(0, (Screen(""),) * 3)], 1, "x & y")
    )

    assert right.left == left.width + GAP
    assert under.top == right.height + GAP
    assert abs(under.width - right.left - right.width) < 0.01
    assert "<a>" in [each.text for each in root.iter(f"{SVG}text")]
    assert root.findtext(f"{SVG}title") == "x & y"


def test_the_recording_plays_where_pages_allow_no_scripts_and_no_other_files() -> None:
    text = RECORDING.read_text(encoding="utf-8")
    root = ET.fromstring(text)

    assert len(text.encode()) < 300_000
    assert not list(root.iter(f"{SVG}script"))
    assert not re.search(r"\son\w+=|href=|url\(|@import", text)


def test_the_recording_ends_with_the_answer_to_the_client_that_waited() -> None:
    text = RECORDING.read_text(encoding="utf-8")
    hidden = set(re.findall(r"^\.(\S+)\{visibility:hidden", text, re.MULTILINE))
    lines = [
        "".join(each.text or "" for each in group.iter(f"{SVG}text"))
        for group in ET.fromstring(text).iter(f"{SVG}g")
        if group.get("class") not in hidden
    ]

    assert any(re.match(r"answered after \d+\.\d seconds", line) for line in lines)
    assert any("pkill sshd" in line for line in lines)
