"""`python -m distribution.environment LOCK`: installs a lock file into the Python that runs it.

It shows each package as pip gets it: on a terminal in one line, otherwise a line each. It refuses
files whose hash is not in the lock file. On a failure it prints what pip printed.
"""

from __future__ import annotations

import re
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

_ENTRY = re.compile(r"([A-Za-z0-9._-]+)==([^ ;]+)")
_FOUND = re.compile(r"(?:Collecting|Processing|Requirement already satisfied).*\(line (\d+)\)")


@dataclass(slots=True)
class Progress:
    """How far pip is, read off its output.

    entries: the packages of the lock file by their line numbers, as "NAME VERSION".
    """

    entries: dict[int, str]
    output: list[str] = field(default_factory=list)
    _seen: set[str] = field(default_factory=set)
    _ignored: int = 0

    def feed(self, line: str) -> str | None:
        """Take a line of pip's output. Return the line to show for it, or None."""
        self.output.append(line)
        if line.startswith("Ignoring "):  # another platform needs it
            self._ignored += 1
        elif line.startswith("Installing collected packages"):
            return "writing the files"
        elif found := _FOUND.match(line):
            package = self.entries.get(int(found[1]))
            if package is not None and package not in self._seen:
                self._seen.add(package)
                return f"{len(self._seen)} of {len(self.entries) - self._ignored}: {package}"
        return None


def entries_of(lock: str) -> dict[int, str]:
    """Return the packages in the text of a lock file by their line numbers."""
    lines = enumerate(lock.splitlines(), 1)
    found = ((number, _ENTRY.match(line)) for number, line in lines)
    return {number: f"{entry[1]} {entry[2]}" for number, entry in found if entry}


def show(lines: Iterable[str], out: TextIO) -> None:
    """Print lines: on a terminal each over the one before, otherwise below it."""
    is_terminal = out.isatty()
    for line in lines:
        out.write(f"\r\x1b[K  {line}" if is_terminal else f"  {line}\n")
        out.flush()
    if is_terminal:
        out.write("\r\x1b[K")
        out.flush()


def install(lock: Path, pip: list[str], out: TextIO) -> int:
    """Install a lock file with the command of a pip, and show progress. Return its exit code."""
    progress = Progress(entries_of(lock.read_text(encoding="utf-8")))
    out.write(f"installing {lock.name} into {sys.prefix} (only this once)\n")
    out.flush()
    command = [*pip, "install", "--progress-bar", "off", "--require-hashes", "-r", str(lock)]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as process:
        show(_fed(progress, process), out)
    if process.returncode:
        out.write("".join(progress.output))
        out.write(f"pip failed with exit code {process.returncode}; its output is above\n")
    return process.returncode


def _fed(progress: Progress, process: subprocess.Popen[str]) -> Iterator[str]:
    assert process.stdout is not None
    for line in process.stdout:
        if (shown := progress.feed(line)) is not None:
            yield shown


if __name__ == "__main__":
    sys.exit(install(Path(sys.argv[1]), [sys.executable, "-m", "pip"], sys.stdout))
