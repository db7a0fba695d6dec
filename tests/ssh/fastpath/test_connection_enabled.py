"""The fast path is enabled for tested versions of asyncssh, unless the environment disables it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from tunnelkeeper.ssh.fastpath.connection import TESTED_VERSIONS

ROOT = Path(__file__).parents[3]

PROGRAM = """
import sys
import asyncssh
asyncssh.__version__ = sys.argv[1]
from tests.ssh.established import Established
for _ in range(2):
    client = Established()
    client.open().write(bytes(100_000))
    client.receive(client.peer.data(b"one") + client.peer.data(b"two"))
    print(*client.counts, len(client.sent), *client.sessions[0].events)
"""
FAST_PATH = "4 2 4 b'one' b'two'\n" * 2
ASYNCSSH = "0 0 4 b'one' b'two'\n" * 2


def run(version: str, setting: str = "") -> subprocess.CompletedProcess[str]:
    """Use two connections in a process with a patched asyncssh version."""
    environment = os.environ | {"TUNNELKEEPER_FASTPATH": setting}
    command = [sys.executable, "-c", PROGRAM, version]
    return subprocess.run(
        command, cwd=ROOT, env=environment, capture_output=True, text=True, check=True
    )


def test_a_tested_version_enables_it_and_logs_nothing() -> None:
    done = run(max(TESTED_VERSIONS))

    assert (done.stdout, done.stderr) == (FAST_PATH, "")


def test_the_environment_can_disable_it() -> None:
    done = run(max(TESTED_VERSIONS), "off")

    assert (done.stdout, done.stderr) == (ASYNCSSH, "")


def test_an_untested_version_disables_it_and_logs_once() -> None:
    done = run("99.0")

    assert done.stdout == ASYNCSSH
    assert done.stderr == (
        "the fast path for data was not tested with asyncssh 99.0 "
        f"(tested: {', '.join(sorted(TESTED_VERSIONS))}); it is disabled and transfers are slower\n"
    )
