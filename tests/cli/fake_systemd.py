"""Fake systemctl and loginctl, which record how they are called."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

FAKE = """\
#!/bin/sh
printf '%s\\n' "$(basename "$0") $*" >> "$TK_NOTES"
case "$0 $*" in
  *"$TK_FAILS"*) echo "that went wrong" >&2; exit 1 ;;
  *NeedDaemonReload*) echo "$TK_SHOW" ;;
  *Linger*) echo "Linger=$TK_LINGER" ;;
  *ActiveState*) echo "$TK_STATE" ;;
  *UnitFileState*) echo "$TK_FILE_STATE" ;;
  *list-units*) echo "$TK_UNITS" ;;
  *show-environment*) echo "$TK_ENVIRONMENT" ;;
esac
"""


class FakeSystemd:
    """Fake systemctl and loginctl on the PATH that record their arguments."""

    def __init__(self, directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self._notes = directory / "notes"
        self._monkeypatch = monkeypatch
        programs = directory / "programs"
        programs.mkdir()
        for name in ("systemctl", "loginctl"):
            (programs / name).write_text(FAKE)
            (programs / name).chmod(0o755)
        monkeypatch.setenv("PATH", f"{programs}{os.pathsep}{os.environ['PATH']}")
        monkeypatch.setenv("TK_NOTES", str(self._notes))
        self.configure(
            fails="nothing at all",
            linger="no",
            state="inactive",
            file_state="disabled",
            units="",
            show="",
            environment="",
        )

    def configure(self, **answers: str) -> None:
        """Set the answers: `fails` (part of a command), `linger`, `state` of all units."""
        for name, answer in answers.items():
            self._monkeypatch.setenv(f"TK_{name.upper()}", answer)

    def commands(self) -> list[str]:
        """Return the systemctl commands, without queries."""
        lines = self._notes.read_text().splitlines() if self._notes.exists() else []
        commands = [
            line.removeprefix("systemctl --user ") for line in lines if "loginctl" not in line
        ]
        return [line for line in commands if not line.startswith(("show ", "list-units "))]
