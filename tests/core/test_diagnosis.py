"""The checks of doctor as values: their order, their dependencies and what is skipped."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from tunnelkeeper.core.diagnosis import (
    EVERYTHING,
    Area,
    Check,
    Finding,
    Result,
    Status,
    Subject,
    cause_of_skip,
    select_checks,
    sort_findings,
)
from tunnelkeeper.core.doctor_checks import CHECKS

KEYS = Check("keys", Area.CLIENT, "Are the keys usable?")
LOGIN = Check("login", Area.SERVER, "Can it log in?", depends_on=("keys",), probes=True)
FORWARD = Check("forward", Area.FORWARD, "Does it forward?", depends_on=("login",), probes=True)
TABLE = (KEYS, LOGIN, FORWARD)


def failed(check: Check, *tunnels: str, hop: str = "", status: Status = Status.FAILED) -> Finding:
    return Finding(check, Result(status, subject=Subject(tunnels, hop)))


def test_every_check_comes_after_those_that_it_depends_on() -> None:
    names = [check.name for check in CHECKS]

    assert len(set(names)) == len(names)
    for index, check in enumerate(CHECKS):
        assert set(check.depends_on) <= set(names[:index])


def test_a_fault_of_one_tunnel_skips_the_checks_of_that_tunnel_alone() -> None:
    findings = [failed(KEYS, "db")]

    assert cause_of_skip(LOGIN, Subject(("db", "web")), findings) is findings[0]
    assert cause_of_skip(LOGIN, Subject(("web",)), findings) is None
    assert cause_of_skip(LOGIN, EVERYTHING, findings) is None


def test_a_fault_of_everything_skips_every_check_that_depends_on_it() -> None:
    findings = [failed(KEYS)]

    for subject in (EVERYTHING, Subject(("db",)), Subject(("db",), "me@relay:22")):
        assert cause_of_skip(LOGIN, subject, findings) is findings[0]


def test_a_fault_of_one_hop_does_not_concern_another_hop() -> None:
    findings = [failed(LOGIN, "db", hop="me@relay:22")]

    assert cause_of_skip(FORWARD, Subject(("db",), "me@other:22"), findings) is None
    assert cause_of_skip(FORWARD, Subject(("db",)), findings) is findings[0]


def test_a_skipped_check_passes_on_its_cause() -> None:
    skipped = failed(LOGIN, "db", status=Status.SKIPPED)

    assert cause_of_skip(FORWARD, Subject(("db",)), [skipped]) is skipped


def test_warnings_skip_nothing() -> None:
    assert cause_of_skip(LOGIN, EVERYTHING, [failed(KEYS, status=Status.WARNING)]) is None


def test_named_checks_run_with_those_that_they_depend_on() -> None:
    assert select_checks(TABLE, ["forward"], may_probe=True) == TABLE
    assert select_checks(TABLE, ["keys"], may_probe=True) == (KEYS,)


def test_checks_that_connect_run_only_if_that_is_permitted() -> None:
    assert select_checks(TABLE, [], may_probe=False) == (KEYS,)
    assert select_checks(TABLE, [], may_probe=True) == TABLE


@given(st.lists(st.builds(failed, st.sampled_from(CHECKS), status=st.sampled_from(Status))))
def test_findings_are_sorted_by_what_needs_attention(findings: list[Finding]) -> None:
    ordered = sort_findings(findings, CHECKS)

    ranks = [list(Status).index(each.result.status) for each in ordered]
    assert ranks == sorted(ranks)
    assert sorted(map(id, ordered)) == sorted(map(id, findings))
