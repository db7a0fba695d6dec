"""docs/doctor.md lists every check, with its question and what it depends on."""

from __future__ import annotations

from tests.imports import ROOT
from tunnelkeeper.core.doctor_checks import CHECKS


def test_the_page_lists_every_check_in_its_order() -> None:
    lines = (ROOT / "docs" / "doctor.md").read_text().splitlines()
    first = lines.index("| Check | Question | Depends on |") + 2

    assert lines[first : first + len(CHECKS) + 1] == [
        *(
            f"| `{check.name}` | {check.question} | "
            f"{', '.join(f'`{name}`' for name in check.depends_on)} |"
            for check in CHECKS
        ),
        "",
    ]
