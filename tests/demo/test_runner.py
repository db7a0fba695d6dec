"""The demo as a user runs it: checked, tried interactively, and cleaned up."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import psutil
import pytest

from tests.e2e.terminal import Terminal
from tests.e2e.waiting import wait_until
from tests.requirements import require
from tunnelkeeper.demo import processes
from tunnelkeeper.demo.files import DemoFiles, find_free_ports
from tunnelkeeper.demo.processes import DemoError, Processes

if TYPE_CHECKING:
    from collections.abc import Iterator

COMMAND = [sys.executable, "-m", "tunnelkeeper", "demo"]


def processes_using(directory: Path) -> list[str]:
    """Return the command lines of the processes that use a directory."""
    return [
        " ".join(process.info["cmdline"])
        for process in psutil.process_iter(["cmdline"])
        if any(str(directory) in word for word in process.info["cmdline"] or ())
    ]


@pytest.fixture
def short_tmp() -> Iterator[Path]:
    """Return a temporary directory whose path is short enough for sockets in it."""
    with tempfile.TemporaryDirectory(prefix="tk") as directory:
        yield Path(directory)


def test_check_prints_a_line_for_each_kind_and_leaves_nothing_behind(short_tmp: Path) -> None:
    environment = os.environ | {"TMPDIR": str(short_tmp)}
    done = subprocess.run(
        [*COMMAND, "--check"], env=environment, capture_output=True, text=True, check=False
    )

    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count(" good ") == done.stdout.count(" back ") == 5
    assert "all good" in done.stdout
    assert list(short_tmp.iterdir()) == []
    assert processes_using(short_tmp) == []


def test_the_demo_runs_until_it_is_interrupted(short_tmp: Path, tmp_path: Path) -> None:
    curl = require("curl")
    environment = os.environ | {"TMPDIR": str(short_tmp), "PYTHONUNBUFFERED": "1"}
    out = tmp_path / "out"
    with out.open("wb") as file, subprocess.Popen(COMMAND, env=environment, stdout=file) as demo:
        try:
            wait_until(lambda: b"Ctrl-C" in out.read_bytes(), within=40)
            line = next(
                text for text in out.read_text().splitlines() if text.strip().startswith("local")
            )
            url = line.split()[-1]
            page = subprocess.run([curl, "-s", url], capture_output=True, check=True).stdout
            demo.send_signal(signal.SIGINT)
            demo.wait(60)
        finally:
            demo.kill()

    assert page.startswith(b"hello")
    assert demo.returncode == 0
    assert "everything is removed" in out.read_text()
    assert list(short_tmp.iterdir()) == []


@pytest.mark.parametrize("options", [(), ("--check",)])
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_signal_ends_the_demo_and_removes_everything(
    short_tmp: Path, options: tuple[str, ...], number: signal.Signals
) -> None:
    environment = os.environ | {"TMPDIR": str(short_tmp)}
    with subprocess.Popen(
        [*COMMAND, *options], env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
    ) as demo:
        assert demo.stderr is not None
        try:
            wait_until(lambda: len(processes_using(short_tmp)) >= 2, within=40)
            demo.send_signal(number)
            errors = demo.stderr.read()
            demo.wait(60)
        finally:
            demo.kill()

    assert (demo.returncode, errors) == (128 + number, b"")
    assert list(short_tmp.iterdir()) == []
    assert processes_using(short_tmp) == []


def test_an_ignored_sighup_stays_ignored(short_tmp: Path, tmp_path: Path) -> None:
    environment = os.environ | {"TMPDIR": str(short_tmp), "PYTHONUNBUFFERED": "1"}
    out = tmp_path / "out"
    with (
        out.open("wb") as file,
        subprocess.Popen([require("nohup"), *COMMAND], env=environment, stdout=file) as demo,
    ):
        try:
            wait_until(lambda: b"Ctrl-C" in out.read_bytes(), within=40)
            demo.send_signal(signal.SIGHUP)
            demo.send_signal(signal.SIGTERM)
            demo.wait(60)
        finally:
            demo.kill()

    assert demo.returncode == 128 + signal.SIGTERM
    assert list(short_tmp.iterdir()) == []


def test_a_closed_terminal_ends_the_demo_and_removes_everything(short_tmp: Path) -> None:
    socket_directory, demo_directory = short_tmp / "t", short_tmp / "d"
    for each in (socket_directory, demo_directory):
        each.mkdir()
    terminal = Terminal(socket_directory / "tmux", columns=80, rows=24)
    try:
        terminal.run(COMMAND, os.environ | {"TMPDIR": str(demo_directory)})
        terminal.wait_for_text("up")
        assert list(demo_directory.iterdir())
    finally:
        terminal.close()

    wait_until(lambda: not processes_using(demo_directory), within=60)
    wait_until(lambda: not list(demo_directory.iterdir()), within=60)


def test_the_output_of_a_process_that_exits_is_reported(tmp_path: Path) -> None:
    stage = DemoFiles(tmp_path, find_free_ports(), web_port=1)
    stage.relay_config_path("relay").parent.mkdir()
    stage.relay_config_path("relay").write_text("listen = 1")
    with Processes(stage) as running, pytest.raises(DemoError, match=r"relay has ended: .*listen"):
        running.start_relay("relay")


def test_a_relay_that_does_not_listen_in_time_is_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(processes, "START_TIMEOUT", 0.0)
    stage = DemoFiles(tmp_path, find_free_ports(), web_port=1)
    stage.write_all()
    with Processes(stage) as running, pytest.raises(DemoError, match="did not listen"):
        running.start_relay("relay")
