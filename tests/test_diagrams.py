"""The generated state diagrams of ARCHITECTURE.md match the state machine."""

from __future__ import annotations

import subprocess
import sys
from typing import get_args

import pytest

from docs import diagrams
from tunnelkeeper.core.lifecycle import Event
from tunnelkeeper.core.snapshot import StateName
from tunnelkeeper.core.states import Replacement


def test_the_document_contains_the_current_diagrams() -> None:
    document = diagrams.ARCHITECTURE.read_text()

    assert diagrams.with_diagrams(document) == document, "run: python docs/diagrams.py --write"


def test_every_state_can_be_reached_and_left() -> None:
    edges = diagrams.transitions()

    assert {source for source, _ in edges} == set(get_args(StateName))
    assert {end for _, end in edges} == set(get_args(StateName))


def test_every_kind_of_event_is_applied() -> None:
    assert {type(labelled.event) for labelled in diagrams.EVENTS} == set(get_args(Event))


@pytest.mark.parametrize(
    ("edge", "labels"),
    [
        (("stopped", "connecting"), "start, restart"),
        (("connecting", "blocked"), "failure needs user, max_attempts"),
        (("up", "stopping"), "restart, host changed, stop, session ended during replacement"),
        (("degraded", "up"), "forwards recovered"),
        (
            ("backoff", "connecting"),
            "start, restart, host changed, retry now, network changed, retry due",
        ),
        (("stopping", "connecting"), "closed, start pending"),
        (("stopping", "stopped"), "closed"),
    ],
)
def test_an_edge_lists_its_events(edge: tuple[str, str], labels: str) -> None:
    assert ", ".join(diagrams.transitions()[edge]) == labels


def test_every_replacement_state_can_be_reached_and_left() -> None:
    edges = diagrams.replacement_transitions()
    names = set(diagrams.REPLACEMENT_NAMES.values())

    assert set(diagrams.REPLACEMENT_NAMES) == set(get_args(Replacement))
    assert {source for source, _ in edges} == names
    assert {end for _, end in edges} == names


@pytest.mark.parametrize(
    ("edge", "labels"),
    [
        (("none", "connecting"), "graceful restart, connection unhealthy, max_lifetime"),
        (("connecting", "draining"), "replacement ready"),
        (("draining", "closing"), "drain_timeout, drained"),
        (("draining", "backoff"), "new session ended"),
    ],
)
def test_an_edge_between_replacement_states_lists_its_events(
    edge: tuple[str, str], labels: str
) -> None:
    assert ", ".join(diagrams.replacement_transitions()[edge]) == labels


def test_a_stopped_tunnel_never_goes_up_directly() -> None:
    assert ("stopped", "up") not in diagrams.transitions()


def test_the_diagram_fits_a_screen() -> None:
    assert len(diagrams.states_diagram().splitlines()) <= 30


def test_only_the_text_between_the_markers_is_replaced() -> None:
    begin, end = diagrams.BEGIN, diagrams.END

    drawn = diagrams.with_diagrams(f"before\n{begin}\nold\n{end}\nafter\n")

    assert drawn.startswith(f"before\n{begin}\n```mermaid\nstateDiagram-v2\n")
    assert drawn.endswith(f"\n```\n{end}\nafter\n")
    assert diagrams.with_diagrams(drawn) == drawn


@pytest.mark.parametrize("text", ["", diagrams.BEGIN, f"{diagrams.END}{diagrams.BEGIN}"])
def test_a_document_without_the_markers_is_rejected(text: str) -> None:
    with pytest.raises(ValueError, match="states: begin"):
        diagrams.with_diagrams(text)


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

    assert done.stdout == f"{diagrams.states_diagram()}\n\n{diagrams.replacement_diagram()}\n"
