from __future__ import annotations

from xml.etree import ElementTree as ET

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.chart import LABELS, RIGHT, WIDTH, Axis, axis, bar, draw
from benchmarks.report import Comparison
from benchmarks.rows import ROWS
from tests.benchmarks.findings import faster, leaner

SVG = "{http://www.w3.org/2000/svg}"


def test_a_rate_that_is_twice_as_high_is_twice_as_good() -> None:
    drawn = bar(faster(2.0))

    assert (drawn.gain, drawn.required, drawn.is_met) == (2.0, 1.3, True)


def test_a_cost_that_is_half_as_high_is_twice_as_good() -> None:
    drawn = bar(Comparison("cpu-up", ours=[4, 5, 8], theirs=[10, 10, 10]))

    assert (drawn.gain, drawn.least, drawn.most) == (2.0, 1.25, 2.5)
    assert drawn.required == pytest.approx(1 / 1.2)


def test_a_missed_row_has_another_colour() -> None:
    missed, met = (shapes(draw([faster(ratio)], ""), "rect")[-1] for ratio in (1.0, 2.0))

    assert (missed.get("class"), met.get("class")) == ("missed", "met")


def test_the_scale_is_symmetric_around_1() -> None:
    scale = Axis(1 / 4, 4)

    assert scale.x(2) - scale.x(1) == pytest.approx(scale.x(1) - scale.x(1 / 2))
    assert (scale.x(1 / 4), scale.x(4)) == (LABELS, WIDTH - RIGHT)


def test_values_beyond_the_axis_are_clamped() -> None:
    assert Axis(1 / 4, 4).x(100) == Axis(1 / 4, 4).x(4)


@given(st.lists(st.floats(1 / 30, 60), min_size=1, max_size=5))
def test_the_axis_has_room_for_every_bar(gains: list[float]) -> None:
    bars = [bar(faster(gain)) for gain in gains]
    scale = axis(bars)

    assert scale.least < min(1, *gains)
    assert scale.most > max(1.3, *gains)


def test_a_chart_is_xml_with_a_name_for_every_row() -> None:
    found = [Comparison(row.key, [row.required], [1.0]) for row in ROWS]

    words = [text.text for text in shapes(draw(found, "A & B"), "text")]

    assert words[0] == "A & B"
    assert {row.what for row in ROWS} <= set(words)


def test_a_chart_without_rows_is_valid() -> None:
    assert shapes(draw([], "nothing"), "text")[0].text == "nothing"


def test_a_bar_ends_where_its_gain_is() -> None:
    found = [faster(2.0), leaner(1 / 25)]
    scale = axis([bar(each) for each in found])

    ends = [
        float(rect.get("x", "")) + float(rect.get("width", ""))
        for rect in shapes(draw(found, ""), "rect")[1:]
    ]

    assert ends == pytest.approx([scale.x(2), scale.x(25)], abs=0.2)


def shapes(svg: str, name: str) -> list[ET.Element]:
    return ET.fromstring(svg).findall(f"{SVG}{name}")
