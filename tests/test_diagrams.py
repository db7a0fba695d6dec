"""The diagram of ARCHITECTURE.md, and that it shows what the program does."""

from __future__ import annotations

import subprocess
import sys
from typing import get_args

import pytest

from docs import diagrams
from tunnelkeeper.core.lifecycle import Event
from tunnelkeeper.core.snapshot import StateName
from tunnelkeeper.core.states import Replacement


def test_the_document_shows_the_states_as_they_are() -> None:
    document = diagrams.ARCHITECTURE.read_text()

    assert diagrams.drawn_into(document) == document, "run: python docs/diagrams.py --write"


def test_every_state_can_be_reached_and_left() -> None:
    edges = diagrams.transitions()

    assert {source for source, _ in edges} == set(get_args(StateName))
    assert {end for _, end in edges} == set(get_args(StateName))


def test_every_kind_of_event_takes_part() -> None:
    assert {type(occasion.event) for occasion in diagrams.OCCASIONS} == set(get_args(Event))


@pytest.mark.parametrize(
    ("edge", "words"),
    [
        (("stopped", "connecting"), "start, restart"),
        (("connecting", "blocked"), "failure for a person, max_attempts"),
        (("up", "stopping"), "restart, way changed, stop, lost while it is replaced"),
        (("degraded", "up"), "forwards recovered"),
        (("backoff", "connecting"), "start, restart, way changed, nudged, moved, wait over"),
        (("stopping", "connecting"), "closed, wanted again"),
        (("stopping", "stopped"), "closed"),
    ],
)
def test_an_edge_says_what_leads_along_it(edge: tuple[str, str], words: str) -> None:
    assert ", ".join(diagrams.transitions()[edge]) == words


def test_everything_beside_a_connection_can_be_reached_and_left() -> None:
    edges = diagrams.replacements()
    names = set(diagrams.SECOND_NAMES.values())

    assert set(diagrams.SECOND_NAMES) == set(get_args(Replacement))
    assert {source for source, _ in edges} == names
    assert {end for _, end in edges} == names


@pytest.mark.parametrize(
    ("edge", "words"),
    [
        (("alone", "arriving"), "restart --graceful, checks fail, max_lifetime"),
        (("arriving", "leaving"), "replacement is ready"),
        (("leaving", "dismissed"), "drain_timeout, transfers are done"),
        (("leaving", "delayed"), "the new one ended"),
    ],
)
def test_an_edge_beside_a_connection_says_what_leads_along_it(
    edge: tuple[str, str], words: str
) -> None:
    assert ", ".join(diagrams.replacements()[edge]) == words


def test_nothing_leads_from_stopped_to_up_at_once() -> None:
    assert ("stopped", "up") not in diagrams.transitions()


def test_the_diagram_fits_a_screen() -> None:
    assert len(diagrams.states().splitlines()) <= 30


def test_the_diagram_goes_between_its_markers_and_changes_nothing_else() -> None:
    begin, end = diagrams.BEGIN, diagrams.END

    drawn = diagrams.drawn_into(f"before\n{begin}\nold\n{end}\nafter\n")

    assert drawn.startswith(f"before\n{begin}\n```mermaid\nstateDiagram-v2\n")
    assert drawn.endswith(f"\n```\n{end}\nafter\n")
    assert diagrams.drawn_into(drawn) == drawn


@pytest.mark.parametrize("text", ["", diagrams.BEGIN, f"{diagrams.END}{diagrams.BEGIN}"])
def test_a_document_without_the_markers_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="states: begin"):
        diagrams.drawn_into(text)


def test_the_program_prints_the_diagram() -> None:
    root = str(diagrams.ARCHITECTURE.parent)
    done = subprocess.run(
        [sys.executable, diagrams.__file__],
        env={"PYTHONPATH": root},
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )

    assert done.stdout == f"{diagrams.states()}\n\n{diagrams.replacement()}\n"
