"""Runs the checks of doctor in their order. It decides nothing about what they find."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import TYPE_CHECKING

from tunnelkeeper.core.diagnosis import (
    EVERYTHING,
    Finding,
    Result,
    Status,
    cause_of_skip,
    sort_findings,
)
from tunnelkeeper.core.text import printable

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tunnelkeeper.core.diagnosis import Check
    from tunnelkeeper.doctor.context import Context

Examine = Callable[["Context"], Awaitable[Iterable[Result]]]
"""Carries a check out. It returns one result for each fault; none or an `ok` if there is none."""

TIME_LIMIT = 20.0
"""Seconds for one check. A disk that hangs must not keep the others from being reported."""


async def run_checks(
    checks: Sequence[Check], examine: Mapping[str, Examine], context: Context
) -> list[Finding]:
    """Run checks and return their findings, the failed ones first.

    A check is skipped if one that it depends on has failed, and a result is replaced by a skip if
    such a failure concerns its subject.
    """
    findings: list[Finding] = []
    for check in checks:
        findings += [
            Finding(check, result) for result in await _results(check, examine, context, findings)
        ]
    return sort_findings(findings, checks)


async def _results(
    check: Check, examine: Mapping[str, Examine], context: Context, findings: Sequence[Finding]
) -> list[Result]:
    if cause := cause_of_skip(check, EVERYTHING, findings):
        return [_skip(cause)]
    try:
        async with asyncio.timeout(TIME_LIMIT):
            results = list(await examine[check.name](context))
    except TimeoutError:
        return [Result(Status.WARNING, f"the check did not end within {TIME_LIMIT:g} s")]
    except OSError as error:  # TimeoutError is one too
        return [Result(Status.WARNING, printable(f"the check was not possible: {error}", 1000))]
    return [
        _skip(cause, result)
        if result.status is Status.FAILED
        and (cause := cause_of_skip(check, result.subject, findings))
        else result
        for result in results or [Result(Status.OK)]
    ]


def _skip(cause: Finding, result: Result | None = None) -> Result:
    is_root = cause.result.status is Status.FAILED
    text = f"depends on {cause.check.name}" if is_root else cause.result.text
    return Result(Status.SKIPPED, text, subject=result.subject if result else EVERYTHING)
