"""Start-up starts no program and needs no writable folder: the search for shared libraries."""

from __future__ import annotations

import ctypes.util
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from tunnelkeeper.ssh.library_search import find_library, without_subprocesses

if TYPE_CHECKING:
    from pathlib import Path

REPORT_SIDE_EFFECTS = """
import os, sys

STARTS = ("subprocess.Popen", "os.exec", "os.fork", "os.forkpty", "os.posix_spawn", "os.system")
WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT


def report(event, args):
    if event in STARTS or event.startswith("tempfile."):
        print(event, args)
    elif event == "open" and args[2] and args[2] & WRITES and args[0] != "/dev/null":
        print(event, args)


sys.dont_write_bytecode = True
sys.addaudithook(report)
"""

PROGRAMS = (
    "tunnelkeeper.cli.main",
    "tunnelkeeper.daemon.main",
    "tunnelkeeper.relay.main",
    "tunnelkeeper.oneshot.check",
    "tunnelkeeper.oneshot.connect",
    "tunnelkeeper.oneshot.autossh.main",
    "tunnelkeeper.demo.runner",
    "tunnelkeeper.dashboard.app",
)


@pytest.mark.parametrize("module", PROGRAMS)
def test_importing_a_program_starts_no_process_and_writes_no_file(module: str) -> None:
    found = subprocess.run(
        [sys.executable, "-c", f"{REPORT_SIDE_EFFECTS}\nimport {module}"],
        capture_output=True,
        text=True,
        check=True,
    )

    assert found.stdout == ""


def test_the_reporting_hook_sees_the_search_of_ctypes() -> None:
    if not sys.platform.startswith("linux"):
        pytest.skip("ctypes starts programs on Linux only")
    search = "import ctypes.util; ctypes.util.find_library('absent')"

    found = subprocess.run(
        [sys.executable, "-c", f"{REPORT_SIDE_EFFECTS}\n{search}"],
        capture_output=True,
        text=True,
        check=True,
    )

    assert "subprocess.Popen" in found.stdout


def test_the_first_folder_with_the_library_wins(tmp_path: Path) -> None:
    first, second = tmp_path / "a", tmp_path / "b"
    for folder in (first, second):
        folder.mkdir()
    (first / "libother.so.1").touch()
    (second / "libnettle.so.8").touch()
    (second / "libnettle.so.8.6").touch()

    folders = [tmp_path / "absent", first, second]
    assert find_library("nettle", folders, load=str) == "libnettle.so.8"


def test_a_library_that_cannot_be_loaded_is_skipped(tmp_path: Path) -> None:
    for name in ("liboqs.so.5", "liboqs.so.7"):
        (tmp_path / name).touch()

    def load(name: str) -> None:
        if name == "liboqs.so.5":
            raise OSError("wrong ELF class: ELFCLASS32")

    assert find_library("oqs", [tmp_path], load) == "liboqs.so.7"
    assert find_library("oqs", [tmp_path]) is None  # both files are empty


def test_a_library_without_a_version_is_a_linker_script_or_a_link_for_compilers(
    tmp_path: Path,
) -> None:
    (tmp_path / "liboqs.so").touch()

    assert find_library("oqs", [tmp_path], load=str) is None


def test_an_absent_library_is_none(tmp_path: Path) -> None:
    assert find_library("oqs", [tmp_path]) is None


def test_ctypes_has_its_own_search_again_afterwards() -> None:
    before = ctypes.util.find_library

    with without_subprocesses():
        pass

    assert ctypes.util.find_library is before
