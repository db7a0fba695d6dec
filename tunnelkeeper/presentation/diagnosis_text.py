"""Text and JSON of what doctor found. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tunnelkeeper.core.diagnosis import Status

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from tunnelkeeper.core.diagnosis import Check, Finding

SHOWN = (Status.FAILED, Status.WARNING, Status.INFO)
"""The outcomes that are shown one by one. The others are named together."""

LABEL_WIDTH = 9


def describe_findings(findings: Iterable[Finding]) -> Iterator[tuple[Status, list[str]]]:
    """Yield the status and the lines of each finding, then those of what is fine or skipped."""
    findings = list(findings)
    for finding in findings:
        result = finding.result
        if result.status in SHOWN:
            label = f"{result.status:<{LABEL_WIDTH}}"
            lines = [f"{label}{finding.check.name}: {result.text}"]
            if result.remedy:
                lines.append(f"{'':<{LABEL_WIDTH}}hint: {result.remedy}")
            yield result.status, lines
    for status in (Status.SKIPPED, Status.OK):
        names: dict[str, dict[str, None]] = {}
        for each in findings:
            if each.result.status is status:
                names.setdefault(each.result.text, {})[each.check.name] = None
        for reason, group in names.items():
            reason_text = f" ({reason})" if reason else ""
            yield status, [f"{status:<{LABEL_WIDTH}}{', '.join(group)}{reason_text}"]


def describe_checks(checks: Sequence[Check]) -> list[str]:
    """Return a line for each check: its name and its question."""
    width = max(len(check.name) for check in checks)
    return [f"{check.name:<{width}}  {check.question}" for check in checks]


def describe_as_object(check: Check) -> dict[str, object]:
    """Return a check for JSON."""
    return {
        "name": check.name,
        "area": check.area.value,
        "question": check.question,
        "depends_on": list(check.depends_on),
    }


def as_objects(findings: Iterable[Finding]) -> list[dict[str, object]]:
    """Return findings for JSON. tunnel: the only one that is concerned, or empty."""
    return [
        {
            "name": each.check.name,
            "status": each.result.status.value,
            "tunnel": each.result.subject.tunnels[0]
            if len(each.result.subject.tunnels) == 1
            else "",
            "tunnels": list(each.result.subject.tunnels),
            "hop": each.result.subject.hop,
            "forward": each.result.subject.forward,
            "finding": each.result.text,
            "remedy": each.result.remedy,
            "depends_on": list(each.check.depends_on),
        }
        for each in findings
    ]
