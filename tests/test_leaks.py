"""The leak guard, on tests that leak: each is run in a session of its own."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from typing import TYPE_CHECKING

from tests.imports import ROOT

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

CONFTEST = "from tests.conftest import pytest_configure"

LEAKING_TESTS = """
import asyncio, signal, socket, subprocess, sys
import pytest

SLEEP = [sys.executable, "-c", "import time; time.sleep(60)"]

def test_process():
    subprocess.Popen(SLEEP)

def test_zombie():
    test_zombie.kept = subprocess.Popen(["true"])

def test_failed_with_a_process():
    process = subprocess.Popen(SLEEP)
    assert process.poll() == 1

def test_socket_in_a_cycle():
    cycle = [socket.socket()]
    cycle.append(cycle)

@pytest.fixture
def connection():
    return socket.socket()

def test_socket_of_a_fixture(connection):
    pass

async def test_task():
    loop = asyncio.get_running_loop()
    test_task.kept = loop.create_task(asyncio.Event().wait(), name="endless")

def test_destroyed_task():
    loop = asyncio.new_event_loop()
    loop.create_task(asyncio.sleep(60), name="destroyed")
    loop.run_until_complete(asyncio.sleep(0))
    loop.close()

def test_loop():
    asyncio.new_event_loop()
"""

CLEAN_TESTS = """
import asyncio, signal, socket, subprocess, sys
import pytest

def test_all_is_closed():
    with socket.socket():
        subprocess.run(["true"], check=True)

async def test_tasks_end_by_themselves():
    asyncio.get_running_loop().call_later(0.01, lambda: None)
    test_all_is_closed.kept = asyncio.get_running_loop().create_task(asyncio.sleep(0.05))

@pytest.fixture(scope="module")
def process():
    with subprocess.Popen(["sleep", "60"]) as process:
        yield process
        process.kill()

def test_processes_of_a_module_outlive_a_test(process):
    assert process.poll() is None

def test_processes_of_a_module_are_shared(process):
    assert process.poll() is None

def test_children_can_be_interrupted():
    code = "import signal as s; print(*[s.getsignal(n) is s.SIG_IGN for n in (s.SIGINT, s.SIGHUP)])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True)
    assert done.stdout == b"False False\\n"
"""

TRACED_TESTS = """
import socket, sys, threading
import pytest

def test_every_thread_is_traced():
    traced = []
    def start_threads():
        for _ in range(25):
            thread = threading.Thread(target=lambda: traced.append(sys.gettrace()))
            thread.start()
            thread.join()
    sys.setswitchinterval(0.000001)
    starters = [threading.Thread(target=start_threads) for _ in range(4)]
    for starter in starters:
        starter.start()
    for starter in starters:
        starter.join()
    assert len(traced) == 100
    assert None not in traced

def test_socket_in_a_cycle():
    cycle = [socket.socket()]
    cycle.append(cycle)
"""


def run_tests(folder: Path, tests: str, *prefix: str, options: Sequence[str] = ()) -> str:
    """Run these tests below the guard; return the report."""
    (folder / "conftest.py").write_text(CONFTEST)
    (folder / "test_it.py").write_text(tests)
    command = [sys.executable, "-m", "pytest", "-rA", "-p", "no:cacheprovider", *options]
    command += ["-c", str(ROOT / "pyproject.toml"), "--rootdir", str(folder)]
    done = subprocess.run(
        [*prefix, *command, str(folder)],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    return done.stdout + done.stderr


def test_each_leak_is_an_error_of_the_test_that_leaks(tmp_path: Path) -> None:
    report = run_tests(tmp_path, LEAKING_TESTS)

    names = re.findall(r"def (test_\w+)", LEAKING_TESTS)
    for name in names:
        assert f"ERROR test_it.py::{name} - Failed: the test leaks" in report, report
    assert f"{len(names)} errors" in report
    assert "name='endless'" in report
    assert "name='destroyed'" in report


def test_a_test_that_leaks_nothing_passes_even_where_signals_are_ignored(tmp_path: Path) -> None:
    ignore = ("bash", "-c", 'trap "" INT HUP; exec "$@"', "bash")
    report = run_tests(tmp_path, CLEAN_TESTS, *ignore)

    assert "5 passed" in report, report


def test_coverage_traces_every_thread_beside_the_guard(tmp_path: Path) -> None:
    (tmp_path / ".coveragerc").write_text("[run]\ncore = ctrace\n")
    report = run_tests(tmp_path, TRACED_TESTS, options=("--cov=.",))

    assert "ERROR test_it.py::test_socket_in_a_cycle - Failed: the test leaks" in report, report
    assert "2 passed, 1 error" in report
