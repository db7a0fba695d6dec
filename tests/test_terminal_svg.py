"""The pictures of terminals: what stood where, in which colours."""

from __future__ import annotations

import subprocess
import sys
from xml.etree import ElementTree as ET

from docs import terminal_svg
from docs.terminal_svg import BACKGROUND, FOREGROUND, PALETTE, Look, changed, parse, svg

SVG = "{http://www.w3.org/2000/svg}"


def test_characters_get_the_look_that_was_set_before_them() -> None:
    [cells] = parse("a\x1b[1;32mb\x1b[39mc\x1b[0md")

    assert cells == [
        ("a", Look()),
        ("b", Look(ink=2, bold=True)),
        ("c", Look(bold=True)),
        ("d", Look()),
    ]


def test_a_look_goes_on_over_the_end_of_a_line() -> None:
    assert parse("\x1b[7ma\nb")[1] == [("b", Look(reverse=True))]


def test_bright_colours_and_papers_are_known_and_others_passed_over() -> None:
    assert changed(Look(), "95;44") == Look(ink=13, paper=4)
    assert changed(Look(ink=1, paper=2), "49;58") == Look(ink=1)
    assert changed(Look(dim=True), "") == Look()


def test_the_picture_is_xml_with_each_text_in_its_place() -> None:
    root = ET.fromstring(svg(parse("a<b\n  \x1b[31mred\x1b[0m"), 10))
    texts = [(each.text, each.get("fill")) for each in root.iter(f"{SVG}text")]

    assert texts == [("a<b", FOREGROUND), ("red", PALETTE[1])]


def test_reverse_is_a_box_with_the_papers_colour_for_letters() -> None:
    root = ET.fromstring(svg(parse("\x1b[7mx"), 1))
    [text] = root.iter(f"{SVG}text")
    _, box = root.iter(f"{SVG}rect")

    assert (text.get("fill"), box.get("fill")) == (BACKGROUND, FOREGROUND)


def test_blocks_are_drawn_so_that_no_font_leaves_gaps() -> None:
    root = ET.fromstring(svg(parse("▁█"), 2))
    _, low, high = (float(each.get("height", "0").rstrip("%")) for each in root.iter(f"{SVG}rect"))

    assert list(root.iter(f"{SVG}text")) == []
    assert 7.5 < high / low < 8.5


def test_it_is_a_filter() -> None:
    done = subprocess.run(
        [sys.executable, terminal_svg.__file__, "3"],
        input="abc",
        capture_output=True,
        text=True,
        check=True,
    )

    assert ET.fromstring(done.stdout).tag == f"{SVG}svg"
