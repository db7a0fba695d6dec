"""The demo as a person runs it: proved, tried, and gone without a trace."""

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

from tests.e2e.waiting import wait_until
from tests.requirements import require
from tunnelkeeper.demo import processes
from tunnelkeeper.demo.processes import DemoError, Processes
from tunnelkeeper.demo.stage import Stage, free_ports

if TYPE_CHECKING:
    from collections.abc import Iterator

COMMAND = [sys.executable, "-m", "tunnelkeeper", "demo"]


def everything_below(folder: Path) -> list[str]:
    """The processes that have to do with a folder."""
    return [
        " ".join(process.info["cmdline"])
        for process in psutil.process_iter(["cmdline"])
        if any(str(folder) in word for word in process.info["cmdline"] or ())
    ]


@pytest.fixture
def short_tmp() -> Iterator[Path]:
    """A folder for the demo's own, with a name so short that sockets fit below it."""
    with tempfile.TemporaryDirectory(prefix="tk") as folder:
        yield Path(folder)


def test_the_proof_is_a_line_for_each_kind_and_leaves_nothing(short_tmp: Path) -> None:
    environment = os.environ | {"TMPDIR": str(short_tmp)}
    done = subprocess.run(
        [*COMMAND, "--check"], env=environment, capture_output=True, text=True, check=False
    )

    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count(" good ") == done.stdout.count(" back ") == 5
    assert "all good" in done.stdout
    assert list(short_tmp.iterdir()) == []
    assert everything_below(short_tmp) == []


def test_it_can_be_tried_until_it_is_interrupted(short_tmp: Path, tmp_path: Path) -> None:
    curl = require("curl")
    environment = os.environ | {"TMPDIR": str(short_tmp), "PYTHONUNBUFFERED": "1"}
    out = tmp_path / "out"
    with out.open("wb") as file, subprocess.Popen(COMMAND, env=environment, stdout=file) as demo:
        try:
            wait_until(lambda: b"Ctrl-C" in out.read_bytes(), within=40)
            line = next(x for x in out.read_text().splitlines() if x.strip().startswith("local"))
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


def test_a_process_that_ends_by_itself_is_quoted(tmp_path: Path) -> None:
    stage = Stage(tmp_path, free_ports(), web=1)
    stage.relay_config("relay").parent.mkdir()
    stage.relay_config("relay").write_text("listen = 1")
    with Processes(stage) as running, pytest.raises(DemoError, match=r"relay has ended: .*listen"):
        running.start_relay("relay")


def test_one_that_never_listens_is_given_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(processes, "START_PATIENCE", 0.0)
    stage = Stage(tmp_path, free_ports(), web=1)
    stage.write()
    with Processes(stage) as running, pytest.raises(DemoError, match="does not listen"):
        running.start_relay("relay")
