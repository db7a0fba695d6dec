from __future__ import annotations

import errno
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import pytest

from tests.control.fakes import REFUSED, RunningServer, a_tunnel
from tunnelkeeper.cli import background, launch
from tunnelkeeper.control import log_files
from tunnelkeeper.control.payloads import TunnelEvent

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable, Iterator

    from tests.cli.conftest import Tool

SUPERVISOR = """
import sys, time
from pathlib import Path
from tests.control.fakes import a_tunnel, running_server
print("started", flush=True)
with running_server(Path(sys.argv[1]), *(a_tunnel(n) for n in sys.argv[2:] or ["db"])) as server:
    server.join()
"""


class RunRequest(NamedTuple):
    config: Path
    socket: Path
    names: tuple[str, ...]
    group: str | None
    ready: str = "tried"
    log_file: Path | None = None


class FakeLaunch:
    """Records requests to run a supervisor. The background process runs the test's script."""

    def __init__(self) -> None:
        self.script = SUPERVISOR
        self.foreground_runs: list[RunRequest] = []
        self.log_file: Path | None = None

    def run(
        self,
        config: Path,
        socket: Path,
        names: tuple[str, ...],
        group: str | None,
        ready: str,
        _on_started: Callable[[list[str]], None],
        log_file: Path | None,
    ) -> int:
        self.foreground_runs.append(RunRequest(config, socket, names, group, ready, log_file))
        return 7

    def command_line(
        self,
        _config: Path,
        socket: Path,
        names: tuple[str, ...],
        _group: str | None,
        log_file: Path | None,
    ) -> list[str]:
        self.log_file = log_file
        return [sys.executable, "-c", self.script, str(socket), *names]


@pytest.fixture
def launched(tool: Tool, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeLaunch]:
    tool.config.write_text('tunnels.db = { host = "relay", socks = "1080" }')
    fake = FakeLaunch()
    for name in ("run", "command_line"):
        monkeypatch.setattr(launch, name, getattr(fake, name))
    started: list[subprocess.Popen[bytes]] = []
    start = background.start

    def start_and_keep(arguments: list[str], log: Path | None) -> background.BackgroundProcess:
        process = start(arguments, log)
        started.append(process.process)
        return process

    monkeypatch.setattr(background, "start", start_and_keep)
    yield fake
    for process in started:
        process.wait(30)


def test_up_runs_the_supervisor_in_the_foreground_if_none_runs(
    tool: Tool, launched: FakeLaunch
) -> None:
    assert tool("up", "db", "--group", "work").code == 7
    assert launched.foreground_runs == [RunRequest(tool.config, tool.socket, ("db",), "work")]


def test_the_ready_option_is_passed_to_the_supervisor(tool: Tool, launched: FakeLaunch) -> None:
    assert tool("up", "--ready", "up").code == 7
    assert [request.ready for request in launched.foreground_runs] == ["up"]


@pytest.mark.usefixtures("server")
def test_under_a_service_manager_up_always_runs_the_supervisor(
    tool: Tool, launched: FakeLaunch, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NOTIFY_SOCKET", "/run/notify")

    assert tool("up").code == 7
    assert len(launched.foreground_runs) == 1


def test_an_invalid_file_starts_nothing(tool: Tool, launched: FakeLaunch) -> None:
    tool.config.write_text("tunnels = 1")
    done = tool("up", "--detach")

    assert (done.code, done.out) == (2, "")
    assert done.err.startswith(f"{tool.config}:1: tunnels: ")
    assert not launched.foreground_runs


@pytest.mark.usefixtures("launched")
def test_a_supervisor_with_another_config_file_is_left_alone(
    tool: Tool, server: RunningServer
) -> None:
    done = tool("--config", "other.toml", "up")

    assert (done.code, done.out) == (1, "")
    assert "a supervisor is running already with " in done.err
    assert "--socket PATH" in done.err
    assert server.fake.requests == []


def test_a_running_supervisor_is_asked_to_start_the_tunnels(
    tool: Tool, server: RunningServer
) -> None:
    done = tool("up", "db", "--no-wait")

    assert (done.code, done.err) == (0, "")
    assert "asked to start db" in done.out
    assert server.fake.requests == [("start", ["db"], None)]
    assert tool("up", "dbb").code == 4


@pytest.mark.parametrize("options", [(), ("--detach",)])
@pytest.mark.usefixtures("launched")
def test_up_waits_for_the_tunnels_of_a_running_supervisor(
    tool: Tool, server: RunningServer, options: tuple[str, ...]
) -> None:
    server.fake.tunnels = {name: a_tunnel(name, "connecting") for name in ("db", "web")}
    server.publish(
        TunnelEvent(a_tunnel("db")),
        TunnelEvent(a_tunnel("web", "backoff", failure=REFUSED, attempt=1)),
        TunnelEvent(a_tunnel("web", "connecting", failure=REFUSED, attempt=2)),
        TunnelEvent(a_tunnel("web", "backoff", failure=REFUSED, attempt=3)),
        after_subscription=True,
    )
    done = tool("up", *options)

    assert (done.code, done.out) == (1, "up: db\n")
    assert done.err == (
        "web: backoff: refused: me@relay:22: Connection refused\n  hint: is sshd running?\n"
    )


@pytest.mark.usefixtures("launched")
def test_detach_stops_waiting_after_the_timeout(tool: Tool, server: RunningServer) -> None:
    server.fake.tunnels["db"] = a_tunnel("db", "connecting")
    done = tool("up", "--detach", "--timeout", "0.1")

    assert (done.code, done.out, done.err) == (1, "", "db: connecting\n")


# With --detach the process outlives this one on purpose.
@pytest.mark.filterwarnings("ignore:subprocess .* is still running:ResourceWarning")
@pytest.mark.usefixtures("launched")
def test_detach_starts_a_supervisor_in_its_own_session(tool: Tool) -> None:
    done = tool("up", "--detach", "db", "web")

    assert (done.code, done.out, done.err) == (0, "up: db, web\n", "")
    log = tool.home / "state" / "tunnelkeeper" / "tunnelkeeper.log"
    assert log.read_text() == "started\n"
    assert log.stat().st_mode & 0o777 == 0o600
    assert tool("down").code == 0


def test_the_log_file_is_passed_to_the_supervisor(
    tool: Tool, launched: FakeLaunch, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tool.home)
    assert tool("up", "--log-file", "own.log").code == 7

    [request] = launched.foreground_runs
    assert request.log_file == tool.home / "own.log"
    assert request.log_file.stat().st_mode & 0o777 == 0o600


def test_a_named_log_file_that_cannot_be_written_starts_nothing(
    tool: Tool, launched: FakeLaunch
) -> None:
    done = tool("up", "--log-file", str(tool.home / "no" / "own.log"))

    assert (done.code, launched.foreground_runs) == (1, [])
    assert done.err == (
        f"tunnelkeeper: cannot write the log {tool.home}/no/own.log: No such file or directory\n"
    )


@pytest.mark.filterwarnings("ignore:subprocess .* is still running:ResourceWarning")
def test_a_second_supervisor_writes_to_a_log_of_its_own(tool: Tool, launched: FakeLaunch) -> None:
    usual = tool.home / "state" / "tunnelkeeper" / "tunnelkeeper.log"
    usual.parent.mkdir(parents=True)
    claim = log_files.claim(usual, tool.home / "other.sock")
    assert tool("up", "--detach").code == 0
    os.close(claim)

    assert launched.log_file == usual.with_name("tunnelkeeper-2.log")
    assert not usual.exists()
    assert tool("down").code == 0


@pytest.mark.filterwarnings("ignore:subprocess .* is still running:ResourceWarning")
def test_a_supervisor_starts_without_a_log_if_the_disk_is_full(
    tool: Tool, launched: FakeLaunch, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> Path:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(log_files, "choose", refuse)
    done = tool("up", "--detach")

    assert (done.code, done.out, launched.log_file) == (0, "up: db\n", None)
    assert "warning: the log cannot be written to" in done.err
    assert tool("down").code == 0


def test_the_output_is_found_in_a_log_that_was_rotated_meanwhile(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_text("new\n")

    assert background.tail(log, 1000) == ["new"]


def test_the_output_of_a_supervisor_that_exits_at_once_is_reported(
    tool: Tool, launched: FakeLaunch
) -> None:
    log = tool.home / "state" / "tunnelkeeper" / "tunnelkeeper.log"
    log.parent.mkdir(parents=True)
    log.write_text("an older line\n")
    launched.script = "import sys; print('no \\x1b[31mluck'); sys.exit(4)"
    done = tool("up", "--detach")

    assert (done.code, done.out) == (4, "")
    assert done.err == (
        f"tunnelkeeper: the supervisor ended with exit code 4; its output (in {log}):\n"
        "  no \\x1b[31mluck\n"
    )


def test_the_signal_of_a_killed_supervisor_is_reported(tool: Tool, launched: FakeLaunch) -> None:
    launched.script = "import os; os.kill(os.getpid(), 9)"
    done = tool("up", "--detach")

    assert (done.code, done.err) == (1, "tunnelkeeper: the supervisor ended by signal 9\n")


def test_the_output_of_a_supervisor_that_exits_later_is_reported(
    tool: Tool, launched: FakeLaunch
) -> None:
    launched.script = """
import sys
from pathlib import Path
from tests.control.fakes import a_tunnel, running_server
with running_server(Path(sys.argv[1]), a_tunnel("db", "connecting")) as server:
    server.publish(after_subscription=True, then_shut_down=True)
    server.join()
print("out of memory")
sys.exit(1)
"""
    done = tool("up", "--detach")

    assert done.code == 1
    assert "out of memory" in done.err


def test_the_background_process_gets_the_same_arguments() -> None:
    arguments = launch.command_line(
        Path("/c.toml"), Path("/s.sock"), ("-odd", "db"), "work", Path("/l")
    )

    assert arguments[1:] == [
        *("-m", "tunnelkeeper", "--config", "/c.toml", "--socket", "/s.sock"),
        *("up", "--log-file", "/l", "--group", "work", "--", "-odd", "db"),
    ]
