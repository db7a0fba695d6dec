"""What doctor prints: each finding, and then what is fine."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from tunnelkeeper.core.diagnosis import Area, Check, Finding, Result, Status
from tunnelkeeper.presentation.diagnosis_text import render_findings

AGENT = Check("agent", Area.CLIENT, "Does the agent answer?")
CLOCK = Check("clock", Area.CLIENT, "Is the clock right?")
WORDS = st.text("abc/-.", min_size=1, max_size=12)


def printed(findings: list[Finding], cells: int | None = None) -> list[str]:
    return ["".join(text for _, text in line) for line in render_findings(findings, cells)]


def test_a_finding_has_its_remedy_below_and_the_rest_is_named_together() -> None:
    findings = [
        Finding(AGENT, Result(Status.FAILED, "it does not answer", "ssh-add -l")),
        Finding(CLOCK, Result(Status.SKIPPED, "depends on agent")),
        Finding(AGENT, Result(Status.OK)),
        Finding(CLOCK, Result(Status.OK)),
    ]

    assert printed(findings) == [
        "failed   agent: it does not answer",
        "         hint: ssh-add -l",
        "skipped  clock (depends on agent)",
        "ok       agent, clock",
    ]


def test_a_remedy_is_never_broken_so_that_it_can_be_pasted() -> None:
    remedy = "sudo systemctl disable --now " + "a-long-name" * 10
    [_, line] = printed([Finding(AGENT, Result(Status.WARNING, "old", remedy))], 40)

    assert line.endswith(remedy)


@given(st.lists(WORDS, min_size=1, max_size=40), st.integers(40, 200))
def test_a_text_is_wrapped_at_blanks_behind_the_status(words: list[str], cells: int) -> None:
    lines = printed([Finding(AGENT, Result(Status.INFO, " ".join(words)))], cells)

    assert all(len(line) <= cells for line in lines)
    assert all(line.startswith(" " * 9) for line in lines[1:])
    assert " ".join(lines).split() == ["info", "agent:", *words]
