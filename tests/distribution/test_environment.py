from __future__ import annotations

import io
import sys
from typing import TYPE_CHECKING

from distribution.environment import Progress, entries_of, install, show
from tests.imports import ROOT

if TYPE_CHECKING:
    from pathlib import Path

LOCK = """\
asyncssh==2.24.1 \\
    --hash=sha256:aa
colorama==0.4.6 ; os_name == 'nt' \\
    --hash=sha256:bb
typing-extensions==4.16.0 ; python_full_version < '3.13' \\
    --hash=sha256:cc
"""
OUTPUT = """\
Looking in indexes: https://pypi.org/simple
Ignoring colorama: markers 'os_name == "nt"' don't match your environment
Collecting asyncssh==2.24.1 (from -r run.lock (line 1))
  Downloading asyncssh-2.24.1-py3-none-any.whl (382 kB)
Processing /wheels/typing_extensions-4.16.0-py3-none-any.whl (from -r run.lock (line 5))
Requirement already satisfied: typing-extensions>=4 in here (from -r run.lock (line 5)) (4.16.0)
Installing collected packages: typing-extensions, asyncssh
"""


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def pip(script: str) -> list[str]:
    """Return the command of a program that ignores the arguments of a pip."""
    return [sys.executable, "-c", script]


def test_each_package_is_shown_once_and_those_of_other_platforms_do_not_count() -> None:
    progress = Progress(entries_of(LOCK))

    shown = [line for line in map(progress.feed, OUTPUT.splitlines()) if line]

    assert shown == [
        "1 of 2: asyncssh 2.24.1",
        "2 of 2: typing-extensions 4.16.0",
        "writing the files",
    ]


def test_every_entry_of_our_lock_file_is_found() -> None:
    entries = entries_of((ROOT / "requirements/run.lock").read_text())

    assert "asyncssh 2.24.1" in entries.values()
    assert len(entries) == len(set(entries.values()))


def test_a_terminal_shows_progress_in_one_line_and_a_file_in_many() -> None:
    file, terminal = io.StringIO(), Terminal()
    show(["one", "two"], file)
    show(["one", "two"], terminal)

    assert file.getvalue() == "  one\n  two\n"
    assert terminal.getvalue() == "\r\x1b[K  one\r\x1b[K  two\r\x1b[K"


def test_pip_gets_the_lock_file_and_has_to_check_hashes(tmp_path: Path) -> None:
    (tmp_path / "run.lock").write_text(LOCK)
    noted = tmp_path / "arguments"
    script = f"import sys; open({str(noted)!r}, 'w').write(' '.join(sys.argv[1:]))"

    assert install(tmp_path / "run.lock", pip(script), io.StringIO()) == 0
    assert f"--require-hashes -r {tmp_path / 'run.lock'}" in noted.read_text()


def test_the_output_of_a_pip_that_fails_is_printed(tmp_path: Path) -> None:
    (tmp_path / "run.lock").write_text(LOCK)
    out = io.StringIO()

    code = install(
        tmp_path / "run.lock", pip("print('ERROR: THESE PACKAGES DO NOT MATCH'); exit(1)"), out
    )

    assert code == 1
    assert "ERROR: THESE PACKAGES DO NOT MATCH\npip failed with exit code 1" in out.getvalue()
