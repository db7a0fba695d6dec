"""`forward` with a supervisor: what is requested, printed, and left behind."""

from __future__ import annotations

import errno
import json
import time
from typing import TYPE_CHECKING

import pytest

from tests.control.fakes import REFUSED, RunningServer, a_tunnel
from tunnelkeeper.cli import background
from tunnelkeeper.cli.settings import Settings
from tunnelkeeper.control.client import Client
from tunnelkeeper.control.client_errors import NoSupervisorError
from tunnelkeeper.control.payloads import OpenParams, RemovedEvent, TunnelEvent
from tunnelkeeper.core.message import Message
from tunnelkeeper.core.snapshot import FailureSnapshot
from tunnelkeeper.importing import config_file

if TYPE_CHECKING:
    from pathlib import Path

    from tests.cli.conftest import Tool


LINE = ("forward", "relay", "-L", "5432:db:5432")
TABLE: dict[str, object] = {"host": "relay", "local": ["5432:db:5432"]}
DENIED = FailureSnapshot("auth", "me@relay:22", "permission denied", "", REFUSED.at)


def opened(server: RunningServer) -> OpenParams:
    [params] = [each[1] for each in server.fake.requests if each[0] == "open"]
    assert isinstance(params, OpenParams)
    return params


def stops(server: RunningServer) -> list[object]:
    return [each[1] for each in server.fake.requests if each[0] == "stop"]


def test_the_supervisor_holds_the_tunnel_as_long_as_the_command_runs(
    tool: Tool, server: RunningServer
) -> None:
    server.publish(RemovedEvent("relay"), after_subscription=True)
    done = tool(*LINE, "--for", "2h", "port=2222", "-N")

    assert (done.code, done.err) == (0, "relay was stopped by another command\n")
    table = {**TABLE, "port": 2222}
    assert opened(server) == OpenParams(table, None, 7200, bound_to_connection=True)


@pytest.mark.skipif(not hasattr(time, "CLOCK_BOOTTIME"), reason="the system has no such clock")
def test_a_tunnel_that_ended_during_a_suspend_was_not_stopped_by_another_command(
    tool: Tool, server: RunningServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    times = iter((1000.0, 1000.0 + 7200))
    monkeypatch.setattr(time, "clock_gettime", lambda _clock: next(times))
    server.publish(RemovedEvent("relay"), after_subscription=True)
    done = tool(*LINE, "--for", "2h")

    assert (done.code, done.err) == (0, "relay has ended after 2h\n")


def test_a_tunnel_that_cannot_come_up_ends_the_command(tool: Tool, server: RunningServer) -> None:
    server.fake.opened_state = "connecting"
    failed = a_tunnel("relay", "blocked", failure=DENIED, ad_hoc=True)
    server.publish(TunnelEvent(failed), after_subscription=True)
    done = tool(*LINE)

    assert done.code == 1
    assert "relay: blocked" in done.err
    assert "permission denied" in done.err
    assert stops(server) == [["relay"]]


def test_a_tunnel_that_is_not_up_in_time_ends_the_command(
    tool: Tool, server: RunningServer
) -> None:
    server.fake.opened_state = "connecting"
    done = tool(*LINE, "--timeout", "0.2")

    assert done.code == 5
    assert "tunnelkeeper: relay is not up within 0.2 s" in done.err
    assert stops(server) == [["relay"]]


def test_a_tunnel_that_the_config_file_has_taken_over_stays(
    tool: Tool, server: RunningServer
) -> None:
    server.fake.opened_state = "connecting"
    server.publish(TunnelEvent(a_tunnel("relay", "connecting")), after_subscription=True)
    done = tool(*LINE, "--timeout", "0.5")

    assert done.code == 5
    assert "relay is in the config file now, and stays\n  hint: tunnelkeeper stop relay" in done.err
    assert stops(server) == []


def test_a_socket_whose_file_is_gone_is_tried_at_intervals(
    tool: Tool, server: RunningServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    connect = Settings.client
    calls: list[str] = []

    def client(settings: Settings, *arguments: float) -> Client:
        calls.append("connect")
        if 2 <= calls.count("connect") <= 3:  # the first connection holds the tunnel
            raise NoSupervisorError(tool.socket)
        return connect(settings, *arguments)

    monkeypatch.setattr(Settings, "client", client)
    monkeypatch.setattr(time, "sleep", lambda _: calls.append("wait"))
    server.publish(RemovedEvent("relay"), after_subscription=True)
    done = tool(*LINE)

    assert done.code == 0
    assert calls == ["connect", "connect", "wait", "connect", "wait", "connect"]


def test_the_end_of_the_supervisor_is_reported(tool: Tool, server: RunningServer) -> None:
    server.publish(after_subscription=True, then_shut_down=True)
    done = tool(*LINE)

    assert done.code == 3
    assert "the supervisor has ended, and the tunnel relay with it" in done.err


def test_json_has_a_line_for_each_change(tool: Tool, server: RunningServer) -> None:
    lost = a_tunnel("relay", "backoff", failure=REFUSED, ad_hoc=True)
    server.publish(
        TunnelEvent(lost), TunnelEvent(lost), RemovedEvent("relay"), after_subscription=True
    )
    done = tool(*LINE, "--json")

    assert done.code == 0
    lines = [json.loads(line) for line in done.out.splitlines()]
    assert [line["state"] for line in lines] == ["up", "backoff"]
    assert lines[0]["ad_hoc"]


def test_detach_leaves_the_tunnel_to_the_supervisor(tool: Tool, server: RunningServer) -> None:
    done = tool(*LINE, "--detach", "--for", "90m", "--name", "mine")

    assert (done.code, done.err) == (0, "")
    assert done.out == (
        "up: mine\n"
        "  127.0.0.1:5432 -> db.internal:5432\n"
        "it ends in 1h 30m, or with `tunnelkeeper stop mine`\n"
    )
    assert opened(server) == OpenParams(TABLE, "mine", 5400)
    assert stops(server) == []


@pytest.mark.parametrize(
    ("state", "failure", "is_ended"), [("blocked", DENIED, True), ("backoff", REFUSED, False)]
)
def test_a_detached_tunnel_that_is_not_up_ends_unless_the_network_failed(
    tool: Tool, server: RunningServer, state: str, failure: FailureSnapshot, is_ended: bool
) -> None:
    server.fake.opened_state = "connecting"
    failed = a_tunnel("relay", state, failure=failure, attempt=3, ad_hoc=True)
    server.publish(TunnelEvent(failed), after_subscription=True)
    done = tool(*LINE, "--detach")

    assert (done.code, done.out) == (1, "")
    assert failure.message in done.err
    assert stops(server) == ([["relay"]] if is_ended else [])
    assert ("relay tries again\n  hint: tunnelkeeper stop relay\n" in done.err) != is_ended


def test_a_tunnel_that_is_refused_is_reported_with_its_problems(
    tool: Tool, server: RunningServer
) -> None:
    server.fake.problems = [Message("local: listens on localhost:5432 already")]
    done = tool(*LINE, "--detach")

    assert done.code == 2
    assert "local: listens on localhost:5432 already\n" in done.err
    assert "tunnelkeeper: the tunnel was not opened" in done.err


def test_keep_writes_the_tunnel_when_it_is_up(tool: Tool, server: RunningServer) -> None:
    text = "# mine\n[defaults]\nport = 2222 # comment\n"
    tool.config.write_text(text)
    server.fake.config = str(tool.config)
    done = tool(*LINE, "--keep", "db2")

    assert (done.code, done.err) == (0, "")
    assert opened(server) == OpenParams(TABLE, "db2")
    written = tool.config.read_text()
    assert written == text + '\n[tunnels.db2]\nhost = "relay"\nlocal = ["5432:db:5432"]\n'


def test_keep_writes_nothing_if_the_tunnel_does_not_come_up(
    tool: Tool, server: RunningServer
) -> None:
    server.fake.config = str(tool.config)
    server.fake.opened_state = "connecting"
    done = tool(*LINE, "--keep", "db2", "--timeout", "0.2")

    assert done.code == 1
    assert not tool.config.exists()
    assert stops(server) == [["db2"]]


def open_already(server: RunningServer, name: str, table: dict[str, object], state: str) -> None:
    server.fake.tables[name] = table
    server.publish(TunnelEvent(a_tunnel(name, state, failure=REFUSED, attempt=3, ad_hoc=True)))


@pytest.mark.parametrize(
    ("table", "state", "code", "message"),
    [
        ({**TABLE, "port": 22}, "up", 2, "an ad-hoc tunnel db2 is open, and has other settings"),
        (TABLE, "backoff", 1, "db2 tries again"),
        (TABLE, "blocked", 1, "db2 tries again"),
    ],
)
def test_keep_ends_no_tunnel_that_was_open_before(
    tool: Tool,
    server: RunningServer,
    table: dict[str, object],
    state: str,
    code: int,
    message: str,
) -> None:
    server.fake.config = str(tool.config)
    open_already(server, "db2", table, state)
    done = tool(*LINE, "--keep", "db2")

    assert (done.code, done.out) == (code, "")
    assert message in done.err
    assert not tool.config.exists()
    assert stops(server) == []


def test_keep_ends_the_tunnel_if_it_cannot_be_written(
    tool: Tool, server: RunningServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_arguments: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device", str(tool.config))

    monkeypatch.setattr(config_file, "write", fail)
    server.fake.config = str(tool.config)
    done = tool(*LINE, "--keep", "db2")

    assert done.code == 1
    assert "No space left on device" in done.err
    assert stops(server) == [["db2"]]


def test_keep_refuses_a_name_of_the_file_before_anything_is_opened(
    tool: Tool, server: RunningServer
) -> None:
    tool.config.write_text('[tunnels.db]\nhost = "a"\nsocks = 1080\n')
    server.fake.config = str(tool.config)
    done = tool(*LINE, "--keep", "db")

    assert done.code == 2
    assert "has a tunnel db already" in done.err
    assert server.fake.requests == []


def test_an_interrupted_command_ends_the_supervisor_that_it_has_started(
    tool: Tool, server: RunningServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Started:
        def client(self, socket: Path, _deadline: float) -> Client:
            return Client(socket)

    def find_none(*_arguments: object) -> Client:
        raise NoSupervisorError(tool.socket)

    def interrupt(*_arguments: object, **_options: object) -> None:
        raise KeyboardInterrupt

    server.fake.tunnels.clear()
    monkeypatch.setattr(Settings, "client_for_config", find_none)
    monkeypatch.setattr(background, "start", lambda *_: Started())
    monkeypatch.setattr(Client, "open", interrupt)
    done = tool(*LINE, "--detach")

    assert done.code == 130
    assert server.fake.has_ended.is_set()


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (("forward", "relay"), "hint: tunnelkeeper forward relay -L 5432:localhost:5432"),
        ((*LINE, "--keep", "a", "--for", "1h"), "--keep goes with neither --for nor --name"),
        ((*LINE, "--keep", "a", "--name", "b"), "--keep goes with neither --for nor --name"),
        ((*LINE, "--name", "a b"), "--name: "),
        ((*LINE, "-f"), "write --detach"),
        ((*LINE, "-i", "key"), "write identity_files=FILE"),
        (("forward", "relay", "-L", "x"), "-L x: "),
        ((*LINE, "prot=1"), "prot=1: unknown key"),
    ],
)
def test_what_is_wrong_on_the_command_line_is_named(
    tool: Tool, arguments: tuple[str, ...], problem: str
) -> None:
    done = tool(*arguments)

    assert done.code == 2
    assert problem in done.err


def test_remove_names_the_command_that_ends_an_ad_hoc_tunnel(
    tool: Tool, server: RunningServer
) -> None:
    tool.config.write_text('[tunnels.db]\nhost = "a"\nsocks = 1080\n')
    server.fake.tables["relay"] = TABLE
    done = tool("remove", "relay")

    assert done.code == 4
    assert "tunnelkeeper stop relay" in done.err


@pytest.mark.usefixtures("ssh")
def test_show_names_the_command_line_as_the_origin(tool: Tool, server: RunningServer) -> None:
    tool.config.write_text(
        '[supervisor]\nssh_config = false\n[defaults]\nuser = "me"\nkeepalive_interval = 5\n'
    )
    server.fake.tables["relay"] = {**TABLE, "port": 2222}
    done = tool("show", "relay")

    assert (done.code, done.err) == (0, "")
    assert 'host = "relay"' in done.out
    lines = {line.partition(" =")[0]: line for line in done.out.splitlines()}
    assert lines["local"].endswith("# command line")
    assert lines["port"].endswith("# command line")
    assert lines["keepalive_interval"].endswith("# tunnels.toml:5")
    settings = json.loads(tool("show", "relay", "--json").out)["settings"]
    assert settings["host"]["origin"] == {"kind": "command_line", "file": None, "line": None}
