"""The short way is on for the versions of asyncssh that it was tested with, unless switched off."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from tunnelkeeper.ssh.fastpath.connection import TESTED_VERSIONS

ROOT = Path(__file__).parents[2]

PROGRAM = """
import sys
import asyncssh
asyncssh.__version__ = sys.argv[1]
from tests.ssh.established import Established
for _ in range(2):
    here = Established()
    here.open().write(bytes(100_000))
    here.receive(here.peer.data(b"one") + here.peer.data(b"two"))
    print(*here.counts, len(here.sent), *here.sessions[0].heard)
"""
SHORT = "4 2 4 b'one' b'two'\n" * 2
ASYNCSSHS = "0 0 4 b'one' b'two'\n" * 2


def run(version: str, switch: str = "") -> subprocess.CompletedProcess[str]:
    """Use two connections in a process where asyncssh says it is of a version."""
    environment = os.environ | {"TUNNELKEEPER_FASTPATH": switch}
    command = [sys.executable, "-c", PROGRAM, version]
    return subprocess.run(
        command, cwd=ROOT, env=environment, capture_output=True, text=True, check=True
    )


def test_it_is_on_and_says_nothing() -> None:
    done = run(max(TESTED_VERSIONS))

    assert (done.stdout, done.stderr) == (SHORT, "")


def test_it_is_off_where_the_environment_says_so() -> None:
    done = run(max(TESTED_VERSIONS), "off")

    assert (done.stdout, done.stderr) == (ASYNCSSHS, "")


def test_with_a_version_that_was_not_tested_it_is_off_and_says_so_once() -> None:
    done = run("99.0")

    assert done.stdout == ASYNCSSHS
    assert done.stderr == (
        "the fast path for data was not tested with asyncssh 99.0 "
        f"(tested: {', '.join(sorted(TESTED_VERSIONS))}); it is disabled and transfers are slower\n"
    )
