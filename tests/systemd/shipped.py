"""What units/ at the top level holds; run as a program, it writes them anew."""

from __future__ import annotations

from pathlib import Path

from tunnelkeeper.systemd.unit_templates import DEFAULT_PROGRAM, UnitKind, UnitOptions, unit_files

FOLDER = Path(__file__).parents[2] / "units"


def texts() -> dict[str, str]:
    """All user units for the defaults, by name."""
    wishes = UnitOptions(DEFAULT_PROGRAM)
    return {name: text for kind in UnitKind for name, text in unit_files(kind, wishes).items()}


if __name__ == "__main__":
    for name, text in texts().items():
        (FOLDER / name).write_text(text)
