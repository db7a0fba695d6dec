"""Validation of the units by `systemd-analyze verify`, which must print nothing."""

from __future__ import annotations

import os
import re
import subprocess
from typing import TYPE_CHECKING

import pytest

from tests.markdown import blocks
from tests.requirements import require
from tests.systemd.shipped import RELAY_PAGE, UNITS_DIRECTORY, generate_relay_system_units
from tunnelkeeper.systemd.unit_templates import (
    RELAY,
    Credential,
    UnitKind,
    UnitOptions,
    unit_files,
)

if TYPE_CHECKING:
    from pathlib import Path


def verify(home: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [require("systemd-analyze"), *arguments],
        env={**os.environ, "HOME": str(home), "XDG_RUNTIME_DIR": str(home)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_the_shipped_units_are_valid(tmp_path: Path) -> None:
    program = tmp_path / ".local" / "bin" / "tunnelkeeper"
    program.parent.mkdir(parents=True)
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    unit_names = [str(path).replace("@.", "@db.") for path in sorted(UNITS_DIRECTORY.iterdir())]

    done = verify(tmp_path, "--user", "verify", *unit_names)

    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


@pytest.mark.parametrize("kind", UnitKind)
def test_system_units_are_valid(kind: UnitKind, tmp_path: Path) -> None:
    written = unit_files(
        kind,
        UnitOptions(
            ["/bin/true"],
            is_system=True,
            on_failure="alarm.service",
            credentials=(
                Credential("password-ann@db=3A22", "/etc/tunnelkeeper/my password"),
                Credential("passphrase-id_ed25519", "/etc/tunnelkeeper/key.cred", True),
            ),
        ),
    )
    paths = [tmp_path / name.replace("@.", "@db.") for name in written]
    for path, text in zip(paths, written.values(), strict=True):
        path.write_text(text)

    done = verify(tmp_path, "verify", *map(str, paths))

    warnings = [line for line in done.stderr.splitlines() if "tunnelkeeper" in line]
    assert (done.returncode, warnings) == (0, [])


EXPOSURE = 2.5


def test_the_relay_of_the_system_is_hardly_exposed(tmp_path: Path) -> None:
    for name, text in generate_relay_system_units().items():
        (tmp_path / name).write_text(text)

    done = verify(
        tmp_path,
        "security",
        "--offline=true",
        f"--threshold={round(EXPOSURE * 10)}",
        "--no-pager",
        str(tmp_path / RELAY),
    )

    assert done.returncode == 0, done.stdout + done.stderr
    level = re.search(r"exposure level for \S+: ([0-9.]+)", done.stdout)
    assert level is not None
    assert float(level[1]) < EXPOSURE


def test_the_page_of_the_relay_shows_the_generated_units() -> None:
    shown = blocks(RELAY_PAGE, "ini")

    assert shown == [text for _, text in generate_relay_system_units().items()]
