"""The check of the config file. What it finds is what `tunnelkeeper check` finds."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tunnelkeeper.core.diagnosis import EVERYTHING, Result, Status, Subject
from tunnelkeeper.oneshot.check import find_problems

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tunnelkeeper.config.errors import Problem
    from tunnelkeeper.doctor.context import Context


EDIT = "tunnelkeeper edit"


async def check_config(context: Context) -> Iterable[Result]:
    """Validate the file and everything it names."""
    problems, warnings = await find_problems(str(context.machine.config), context.lookup)
    pairs = [(Status.FAILED, each) for each in problems]
    pairs += [(Status.WARNING, each) for each in warnings]
    return [
        Result(status, str(problem), problem.hint or EDIT, _subject(problem, context))
        for status, problem in pairs
    ]


def _subject(problem: Problem, context: Context) -> Subject:
    """Return the tunnels that a problem concerns. A file that cannot be used concerns all."""
    match problem.key_path:
        case "tunnels", str(name), *_ if name in context.tunnels:
            return Subject((name,))
        case "hosts", str(alias), *_:
            users = [
                name
                for name, lookup in context.lookups.items()
                if any(host.name == alias for host in lookup.hosts)
            ]
            return Subject(tuple(users)) if users else EVERYTHING
    return EVERYTHING
