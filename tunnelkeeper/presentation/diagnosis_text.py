"""Text and JSON of what doctor found. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tunnelkeeper.core.diagnosis import Status
from tunnelkeeper.presentation.message_lines import wrap_hint
from tunnelkeeper.presentation.text_layout import wrap_lines

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from tunnelkeeper.core.diagnosis import Check, Finding
    from tunnelkeeper.presentation.fitted_table import Line

STYLES = {
    Status.FAILED: "state.blocked",
    Status.WARNING: "state.degraded",
    Status.INFO: "state.connecting",
    Status.OK: "state.up",
    Status.SKIPPED: "quiet",
}
"""The style of each status. Those of status itself, so that the colours mean the same."""

SHOWN = (Status.FAILED, Status.WARNING, Status.INFO)
"""The outcomes that are shown one by one. The others are named together."""

LABEL_WIDTH = 9
HINT = "hint: "


def render_findings(findings: Iterable[Finding], cells: int | None) -> list[Line]:
    """Return each finding, then the names of the checks that were skipped or found nothing.

    cells: the width of the terminal, or None for a line per text.
    """
    findings = list(findings)
    lines: list[Line] = []
    for finding in findings:
        result = finding.result
        if result.status in SHOWN:
            lines += _render(result.status, f"{finding.check.name}: {result.text}", cells)
            if result.remedy:
                lines += _render_remedy(result.remedy, cells)
    for status in (Status.SKIPPED, Status.OK):
        names: dict[str, dict[str, None]] = {}
        for each in findings:
            if each.result.status is status:
                names.setdefault(each.result.text, {})[each.check.name] = None
        for reason, group in names.items():
            reason_text = f" ({reason})" if reason else ""
            lines += _render(status, f"{', '.join(group)}{reason_text}", cells)
    return lines


def _render(status: Status, text: str, cells: int | None) -> list[Line]:
    """Return a text behind its status. Further lines of it are indented."""
    first, *others = wrap_lines([f"{status:<{LABEL_WIDTH}}{text}"], cells, (), LABEL_WIDTH)
    label = first[: len(status)]
    return [[(STYLES[status], label), ("", first[len(label) :])], *([("", o)] for o in others)]


def _render_remedy(remedy: str, cells: int | None) -> list[Line]:
    """Return the lines of a remedy, below the text of its finding."""
    label = f"{'':<{LABEL_WIDTH}}{HINT}"
    first, *others = wrap_hint(label, remedy, cells)
    return [[("hint", label), ("", first[len(label) :])], *([("", other)] for other in others)]


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
