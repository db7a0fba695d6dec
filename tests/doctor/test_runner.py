"""The run of the checks: each fault once, and no check that hangs keeps the others."""

from __future__ import annotations

import asyncio
import errno
from typing import TYPE_CHECKING

from tunnelkeeper.core.configuration import Configuration
from tunnelkeeper.core.diagnosis import Area, Check, Result, Status, Subject
from tunnelkeeper.core.doctor_checks import CHECKS
from tunnelkeeper.doctor import runner
from tunnelkeeper.doctor.context import Context
from tunnelkeeper.doctor.main import EXAMINE
from tunnelkeeper.doctor.runner import Examine, run_checks

if TYPE_CHECKING:
    import pytest

    from tests.doctor.conftest import Patient

FIRST = Check("first", Area.CLIENT, "One?")
SECOND = Check("second", Area.CLIENT, "Two?", depends_on=("first",))
THIRD = Check("third", Area.CLIENT, "Three?", depends_on=("second",))
DB, WEB = Subject(("db",)), Subject(("web",))


def results(*found: Result) -> Examine:
    async def examine(_context: Context) -> tuple[Result, ...]:
        return found

    return examine


async def summary(context: Context, **examine: Examine) -> list[tuple[str, str, str]]:
    findings = await run_checks((FIRST, SECOND, THIRD), examine, context)
    return [(each.check.name, each.result.status.value, each.result.text) for each in findings]


def test_every_check_of_the_table_can_be_carried_out() -> None:
    assert set(EXAMINE) == {check.name for check in CHECKS}


async def test_a_check_without_results_is_fine(patient: Patient) -> None:
    context = Context(patient.machine, Configuration(""), {})

    found = await summary(context, first=results(), second=results(), third=results())

    assert found == [("first", "ok", ""), ("second", "ok", ""), ("third", "ok", "")]


async def test_a_fault_is_reported_once_and_everything_that_depends_on_it_is_skipped(
    patient: Patient,
) -> None:
    context = Context(patient.machine, Configuration(""), {})
    fault = Result(Status.FAILED, "broken")

    found = await summary(
        context, first=results(fault), second=results(fault), third=results(fault)
    )

    assert found == [
        ("first", "failed", "broken"),
        ("second", "skipped", "depends on first"),
        ("third", "skipped", "depends on first"),
    ]


async def test_a_fault_of_one_tunnel_hides_only_the_faults_of_that_tunnel(
    patient: Patient,
) -> None:
    context = Context(patient.machine, Configuration(""), {})
    both = results(Result(Status.FAILED, "db", "", DB), Result(Status.FAILED, "web", "", WEB))

    found = await summary(
        context,
        first=results(Result(Status.FAILED, "root", "", DB)),
        second=both,
        third=results(),
    )

    assert found == [
        ("first", "failed", "root"),
        ("second", "failed", "web"),
        ("third", "ok", ""),
        ("second", "skipped", "depends on first"),
    ]


async def test_a_check_that_hangs_is_reported_and_the_others_run(
    patient: Patient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runner, "TIME_LIMIT", 0.01)

    async def hang(_context: Context) -> tuple[Result, ...]:
        await asyncio.Event().wait()
        return ()

    context = Context(patient.machine, Configuration(""), {})
    found = await summary(context, first=hang, second=results(), third=results())

    assert found[0] == ("first", "warning", "the check did not end within 0.01 s")
    assert [each[0] for each in found[1:]] == ["second", "third"]


async def test_a_check_that_the_system_refuses_is_reported_and_the_others_run(
    patient: Patient,
) -> None:
    async def fail(_context: Context) -> tuple[Result, ...]:
        raise PermissionError(errno.EACCES, "Permission denied", "/proc")

    context = Context(patient.machine, Configuration(""), {})
    found = await summary(context, first=fail, second=results(), third=results())

    refused = "the check was not possible: [Errno 13] Permission denied: '/proc'"
    assert found[0] == ("first", "warning", refused)
    assert [each[0] for each in found[1:]] == ["second", "third"]
