"""Puts the program and its pinned packages into a folder, for this or another platform.

Only wheels are installed: nothing is compiled and no code of a package runs. A platform is named by
a version of Python and a processor; the C library is glibc.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

NEWEST_GLIBC = 28
"""The minor version of glibc 2 that the chosen wheels need at most, as in Debian 10 and RHEL 8."""

_OLDER_TAGS = {"x86_64": ("manylinux2014", "manylinux2010", "manylinux1"), "*": ("manylinux2014",)}


@dataclass(frozen=True, slots=True)
class Platform:
    """Where packages run.

    python: the version of CPython as "3.11". processor: as in `uname -m`, x86_64 or aarch64.
    """

    python: str
    processor: str

    @property
    def tag(self) -> str:
        """Return a name for folders and files, such as cp311-x86_64."""
        return f"cp{self.python.replace('.', '')}-{self.processor}"

    def pip_options(self) -> list[str]:
        """Return the options with which pip chooses wheels for the platform."""
        tags = [f"manylinux_2_{minor}" for minor in range(NEWEST_GLIBC, 4, -1)]
        tags += _OLDER_TAGS.get(self.processor, _OLDER_TAGS["*"])
        options = ["--only-binary=:all:", "--implementation=cp", "--python-version", self.python]
        for tag in tags:
            options += ["--platform", f"{tag}_{self.processor}"]
        return options


def fill(folder: Path, platform: Platform, lock: Path, wheel: Path) -> None:
    """Install the packages of a lock file, by their hashes, and the wheel of the program.

    Raises subprocess.CalledProcessError if pip fails; its output is on stderr.
    """
    target = ["--target", str(folder), "--no-compile", *platform.pip_options()]
    _pip("--require-hashes", "-r", str(lock), *target)
    _pip("--no-deps", "--upgrade", str(wheel), *target)
    # Scripts start the Python that built this, which the target does not have; manual pages belong
    # elsewhere.
    for name in ("bin", "share"):
        shutil.rmtree(folder / name, ignore_errors=True)


def _pip(*arguments: str) -> None:
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-input", *arguments]
    subprocess.run(command, check=True, stdout=sys.stderr)
