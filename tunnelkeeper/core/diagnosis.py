"""The values of `tunnelkeeper doctor`: checks, what they look at, and their findings.

A check may depend on others. Where one of those has failed, the check is skipped, so that a single
fault gives a single failure. It runs no check.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence


class Status(StrEnum):
    """The outcome of a check. Only `failed` is a fault that keeps something from working."""

    FAILED = "failed"
    WARNING = "warning"
    INFO = "info"
    OK = "ok"
    SKIPPED = "skipped"


class Area(StrEnum):
    """The part of the set-up that a check looks at."""

    CLIENT = "client"
    NETWORK = "network"
    SERVER = "server"
    FORWARD = "forward"
    RELAY = "relay"


@dataclass(frozen=True, slots=True)
class Check:
    """A check that doctor knows.

    name: as in the output and in `--check`. question: what it answers, for `--list-checks` and the
    documentation. depends_on: the names of checks whose failure makes this one pointless.
    probes: whether it connects to other machines, which only `--probe` permits.
    """

    name: str
    area: Area
    question: str
    depends_on: tuple[str, ...] = ()
    probes: bool = False


@dataclass(frozen=True, slots=True)
class Subject:
    """What one run of a check looks at. Empty fields: this machine, every tunnel, every hop.

    tunnels: the tunnels that a fault keeps from working. hop: `user@host:port`.
    forward: as it is written in status.
    """

    tunnels: tuple[str, ...] = ()
    hop: str = ""
    forward: str = ""

    def concerns(self, other: Subject) -> bool:
        """Return whether a fault of this subject can be the reason for one of the other."""
        return (
            (not self.tunnels or bool(set(self.tunnels) & set(other.tunnels)))
            and (not self.hop or self.hop == other.hop or not other.hop)
            and (not self.forward or self.forward == other.forward)
        )


EVERYTHING = Subject()


@dataclass(frozen=True, slots=True)
class Result:
    """What a check found about one subject.

    text: what was found. remedy: what to do, as a command to paste if there is one.
    """

    status: Status
    text: str = ""
    remedy: str = ""
    subject: Subject = EVERYTHING


@dataclass(frozen=True, slots=True)
class Finding:
    """A result, and the check that it is from."""

    check: Check
    result: Result


ORDER = tuple(Status)
"""The order of the output: what needs attention comes first."""


def sort_findings(findings: Iterable[Finding], checks: Sequence[Check]) -> list[Finding]:
    """Return findings with the failed ones first, and in the order of the checks otherwise."""
    position = {check.name: index for index, check in enumerate(checks)}
    return sorted(
        findings, key=lambda found: (ORDER.index(found.result.status), position[found.check.name])
    )


def cause_of_skip(check: Check, subject: Subject, findings: Iterable[Finding]) -> Finding | None:
    """Return the finding that makes a check of a subject pointless, or None.

    A check that was skipped itself passes on its cause.
    """
    for found in findings:
        if (
            found.result.status in {Status.FAILED, Status.SKIPPED}
            and found.check.name in check.depends_on
            and found.result.subject.concerns(subject)
        ):
            return found
    return None


def select_checks(
    checks: Sequence[Check], names: Iterable[str], *, may_probe: bool
) -> tuple[Check, ...]:
    """Return the checks to run, in their order.

    names: the checks that were asked for, to which those they depend on are added; empty for all.
    may_probe: whether to include checks that connect to other machines.
    """
    wanted = set(names)
    if wanted:
        for check in reversed(checks):
            if check.name in wanted:
                wanted |= set(check.depends_on)
    return tuple(
        check
        for check in checks
        if (may_probe or not check.probes) and (not wanted or check.name in wanted)
    )
