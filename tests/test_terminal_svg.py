"""Rendering of captured terminal screens as SVG."""

from __future__ import annotations

import subprocess
import sys
from xml.etree import ElementTree as ET

from docs import terminal_svg
from docs.terminal_svg import BACKGROUND, FOREGROUND, PALETTE, Attributes, apply_sgr, parse, svg

SVG = "{http://www.w3.org/2000/svg}"


def test_characters_get_the_attributes_set_before_them() -> None:
    [cells] = parse("a\x1b[1;32mb\x1b[39mc\x1b[0md")

    assert cells == [
        ("a", Attributes()),
        ("b", Attributes(foreground=2, bold=True)),
        ("c", Attributes(bold=True)),
        ("d", Attributes()),
    ]


def test_attributes_stay_in_effect_on_the_next_line() -> None:
    assert parse("\x1b[7ma\nb")[1] == [("b", Attributes(reverse=True))]


def test_bright_and_background_colours_are_supported_and_others_ignored() -> None:
    assert apply_sgr(Attributes(), "95;44") == Attributes(foreground=13, background=4)
    assert apply_sgr(Attributes(foreground=1, background=2), "49;58") == Attributes(foreground=1)
    assert apply_sgr(Attributes(dim=True), "") == Attributes()


def test_the_256_colours_of_xterm_are_supported_for_text() -> None:
    assert apply_sgr(Attributes(bold=True), "38;5;31") == Attributes(foreground=31, bold=True)
    assert [terminal_svg.colour(number) for number in (2, 31, 196, 244)] == [
        PALETTE[2],
        "#0087af",
        "#ff0000",
        "#808080",
    ]


def test_the_svg_has_each_text_with_its_colour() -> None:
    root = ET.fromstring(svg(parse("a<b\n  \x1b[31mred\x1b[0m"), 10))
    texts = [(each.text, each.get("fill")) for each in root.iter(f"{SVG}text")]

    assert texts == [("a<b", FOREGROUND), ("red", PALETTE[1])]


def test_reverse_swaps_foreground_and_background() -> None:
    root = ET.fromstring(svg(parse("\x1b[7mx"), 1))
    [text] = root.iter(f"{SVG}text")
    _, box = root.iter(f"{SVG}rect")

    assert (text.get("fill"), box.get("fill")) == (BACKGROUND, FOREGROUND)


def test_block_characters_are_rectangles() -> None:
    root = ET.fromstring(svg(parse("▁█"), 2))
    _, low, high = (float(each.get("height", "0").rstrip("%")) for each in root.iter(f"{SVG}rect"))

    assert list(root.iter(f"{SVG}text")) == []
    assert 7.5 < high / low < 8.5


def test_the_script_reads_stdin_and_writes_stdout() -> None:
    done = subprocess.run(
        [sys.executable, terminal_svg.__file__, "3"],
        input="abc",
        capture_output=True,
        text=True,
        check=True,
    )

    assert ET.fromstring(done.stdout).tag == f"{SVG}svg"
