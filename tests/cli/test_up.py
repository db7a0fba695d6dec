from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import pytest

from tests.control.fakes import REFUSED, RunningServer, a_tunnel
from tunnelkeeper.cli import background, launch
from tunnelkeeper.control.payloads import TunnelEvent

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Iterator

    from tests.cli.conftest import Tool

SUPERVISOR = """
import sys, time
from pathlib import Path
from tests.control.fakes import a_tunnel, running_server
print("here I am", flush=True)
with running_server(Path(sys.argv[1]), *(a_tunnel(n) for n in sys.argv[2:] or ["db"])) as server:
    server.join()
"""


class Asked(NamedTuple):
    config: Path
    socket: Path
    names: tuple[str, ...]
    group: str | None
    ready: str = "tried"


class FakeLaunch:
    """What up asked to be started; the background process is one that a test writes."""

    def __init__(self) -> None:
        self.script = SUPERVISOR
        self.in_the_foreground: list[Asked] = []

    def run(
        self, config: Path, socket: Path, names: tuple[str, ...], group: str | None, ready: str
    ) -> int:
        self.in_the_foreground.append(Asked(config, socket, names, group, ready))
        return 7

    def command_line(
        self, _config: Path, socket: Path, names: tuple[str, ...], _group: str | None
    ) -> list[str]:
        return [sys.executable, "-c", self.script, str(socket), *names]


@pytest.fixture
def launched(tool: Tool, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeLaunch]:
    tool.config.write_text('tunnels.db = { host = "relay", socks = "1080" }')
    fake = FakeLaunch()
    for name in ("run", "command_line"):
        monkeypatch.setattr(launch, name, getattr(fake, name))
    started: list[subprocess.Popen[bytes]] = []
    start = background.start

    def start_and_keep(arguments: list[str], log: Path) -> background.BackgroundProcess:
        process = start(arguments, log)
        started.append(process.process)
        return process

    monkeypatch.setattr(background, "start", start_and_keep)
    yield fake
    for process in started:
        process.wait(30)


def test_it_is_the_supervisor_where_none_runs(tool: Tool, launched: FakeLaunch) -> None:
    assert tool("up", "db", "--group", "work").code == 7
    assert launched.in_the_foreground == [Asked(tool.config, tool.socket, ("db",), "work")]


def test_it_is_told_when_a_service_manager_is_to_hear_that_it_is_ready(
    tool: Tool, launched: FakeLaunch
) -> None:
    assert tool("up", "--ready", "up").code == 7
    assert [asked.ready for asked in launched.in_the_foreground] == ["up"]


@pytest.mark.usefixtures("server")
def test_under_a_service_manager_it_holds_tunnels_itself_or_fails(
    tool: Tool, launched: FakeLaunch, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NOTIFY_SOCKET", "/run/notify")

    assert tool("up").code == 7
    assert len(launched.in_the_foreground) == 1


def test_a_bad_file_starts_nothing(tool: Tool, launched: FakeLaunch) -> None:
    tool.config.write_text("tunnels = 1")
    done = tool("up", "--detach")

    assert (done.code, done.out) == (2, "")
    assert done.err.startswith(f"{tool.config}:1: tunnels: ")
    assert not launched.in_the_foreground


@pytest.mark.usefixtures("launched")
def test_a_supervisor_that_holds_another_file_is_not_asked(
    tool: Tool, server: RunningServer
) -> None:
    done = tool("--config", "other.toml", "up")

    assert (done.code, done.out) == (1, "")
    assert "a supervisor is running already with " in done.err
    assert "--socket PATH" in done.err
    assert server.fake.asked == []


def test_a_supervisor_that_runs_is_asked(tool: Tool, server: RunningServer) -> None:
    done = tool("up", "db")

    assert (done.code, done.err) == (0, "")
    assert "asked to start db" in done.out
    assert server.fake.asked == [("start", ["db"], None)]
    assert tool("up", "dbb").code == 4


@pytest.mark.usefixtures("launched")
def test_detached_it_waits_for_the_tunnels_of_one_that_runs(
    tool: Tool, server: RunningServer
) -> None:
    server.fake.tunnels = {name: a_tunnel(name, "connecting") for name in ("db", "web")}
    server.publish(
        TunnelEvent(a_tunnel("db")),
        TunnelEvent(a_tunnel("web", "backoff", failure=REFUSED, attempt=1)),
        TunnelEvent(a_tunnel("web", "connecting", failure=REFUSED, attempt=2)),
        TunnelEvent(a_tunnel("web", "backoff", failure=REFUSED, attempt=3)),
        once_followed=True,
    )
    done = tool("up", "--detach")

    assert (done.code, done.out) == (1, "up: db\n")
    assert done.err == "web: backoff: refused: me@relay:22: Connection refused (is sshd running?)\n"


@pytest.mark.usefixtures("launched")
def test_detached_it_does_not_wait_for_ever(tool: Tool, server: RunningServer) -> None:
    server.fake.tunnels["db"] = a_tunnel("db", "connecting")
    done = tool("up", "--detach", "--timeout", "0.1")

    assert (done.code, done.err) == (1, "db: connecting\n")


# That the process goes on without us is what --detach is for.
@pytest.mark.filterwarnings("ignore:subprocess .* is still running:ResourceWarning")
@pytest.mark.usefixtures("launched")
def test_detached_it_starts_a_supervisor_in_a_session_of_its_own(tool: Tool) -> None:
    done = tool("up", "--detach", "db", "web")

    assert (done.code, done.out, done.err) == (0, "up: db, web\n", "")
    log = tool.home / "state" / "tunnelkeeper" / "tunnelkeeper.log"
    assert log.read_text() == "here I am\n"
    assert log.stat().st_mode & 0o777 == 0o600
    assert tool("down").code == 0


def test_a_supervisor_that_dies_at_once_is_quoted(tool: Tool, launched: FakeLaunch) -> None:
    log = tool.home / "state" / "tunnelkeeper" / "tunnelkeeper.log"
    log.parent.mkdir(parents=True)
    log.write_text("of last week\n")
    launched.script = "import sys; print('no \\x1b[31mluck'); sys.exit(4)"
    done = tool("up", "--detach")

    assert (done.code, done.out) == (4, "")
    assert done.err == (
        f"tunnelkeeper: the supervisor ended with exit code 4; its output (in {log}):\n"
        "  no \\x1b[31mluck\n"
    )


def test_one_that_is_killed_says_the_signal(tool: Tool, launched: FakeLaunch) -> None:
    launched.script = "import os; os.kill(os.getpid(), 9)"
    done = tool("up", "--detach")

    assert (done.code, done.err) == (1, "tunnelkeeper: the supervisor ended by signal 9\n")


def test_one_that_dies_while_its_tunnels_are_awaited_is_quoted_too(
    tool: Tool, launched: FakeLaunch
) -> None:
    launched.script = """
import sys
from pathlib import Path
from tests.control.fakes import a_tunnel, running_server
with running_server(Path(sys.argv[1]), a_tunnel("db", "connecting")) as server:
    server.publish(once_followed=True, and_end=True)
    server.join()
print("out of memory")
sys.exit(1)
"""
    done = tool("up", "--detach")

    assert done.code == 1
    assert "out of memory" in done.err


def test_the_background_process_is_this_program_with_the_same_wishes() -> None:
    arguments = launch.command_line(Path("/c.toml"), Path("/s.sock"), ("-odd", "db"), "work")

    assert arguments[1:] == [
        *("-m", "tunnelkeeper", "--config", "/c.toml", "--socket", "/s.sock"),
        *("up", "--group", "work", "--", "-odd", "db"),
    ]
