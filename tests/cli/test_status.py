from __future__ import annotations

import json
import os
import pty
import signal
import subprocess
import sys
from contextlib import suppress
from typing import TYPE_CHECKING

import msgspec
import pytest

from tests.control.fakes import REFUSED, RunningServer, a_forward, a_tunnel, running_server
from tunnelkeeper.control.payloads import TunnelEvent

if TYPE_CHECKING:
    from tests.cli.conftest import Tool
    from tunnelkeeper.core.snapshot import TunnelSnapshot

BACKOFF = a_tunnel("web", "backoff", failure=REFUSED, retry_at="2126-11-22T12:00:00Z")
STOPPED = a_tunnel("idle", "stopped", wanted=False)


def status_on_terminal(server: RunningServer, width: int, **environment: str) -> str:
    """Return the output of `status` on a terminal of this width."""
    master, slave = pty.openpty()
    done = subprocess.run(
        [sys.executable, "-m", "tunnelkeeper", "--socket", str(server.path), "status"],
        stdout=slave,
        env=_environment() | {"TERM": "xterm", "COLUMNS": str(width)} | environment,
        timeout=60,
        check=False,
    )
    os.close(slave)
    printed = b""
    with suppress(OSError):  # EIO: the last process on the terminal has exited
        while data := os.read(master, 65536):
            printed += data
    os.close(master)
    assert done.returncode == 0
    return printed.decode()


def _environment() -> dict[str, str]:
    kept = {"NO_COLOR", "FORCE_COLOR", "COLORTERM"}
    return {name: value for name, value in os.environ.items() if name not in kept}


def test_each_tunnel_is_a_row(tool: Tool, server: RunningServer) -> None:
    server.fake.tunnels = {"db": a_tunnel(jump=["bastion"])}
    done = tool("status")

    header, line = done.out.splitlines()
    assert header.split()[:4] == ["NAME", "STATE", "HOST", "FORWARDS"]
    assert line.startswith("db    up     me@relay via bastion  L 5432 -> db.internal:5432")
    assert done.code == 0


def test_the_exit_code_is_0_if_all_wanted_tunnels_are_up(tool: Tool, server: RunningServer) -> None:
    server.fake.tunnels = {"db": a_tunnel(), "idle": STOPPED}
    assert tool("status").code == 0

    server.fake.tunnels["web"] = BACKOFF
    assert tool("status").code == 1
    assert tool("status", "db", "idle").code == 0


def test_the_full_reason_is_printed_below_the_table(tool: Tool, server: RunningServer) -> None:
    server.fake.tunnels = {"db": a_tunnel(), "web": BACKOFF, "idle": STOPPED}
    table, _, reasons = tool("status").out.partition("\n\n")

    assert "refused, retry in" in table
    assert reasons == (
        "web: backoff: refused: me@relay:22: Connection refused\n  hint: is sshd running?\n"
    )


@pytest.mark.parametrize("tunnels", [{}, {"db": a_tunnel()}, {"db": a_tunnel(), "web": BACKOFF}])
def test_a_changed_config_file_is_reported_below_the_table(
    tool: Tool, server: RunningServer, tunnels: dict[str, TunnelSnapshot]
) -> None:
    server.fake.tunnels = tunnels
    server.fake.config_changed = True

    assert tool("status").out.splitlines()[-2:] == [
        "/etc/tunnels.toml has changed since the supervisor read it",
        "  hint: tunnelkeeper reload",
    ]


def test_names_select_the_rows(tool: Tool, server: RunningServer) -> None:
    server.fake.tunnels = {"db": a_tunnel(), "web": BACKOFF}
    lines = tool("status", "web").out.splitlines()

    assert [line.split()[0] for line in lines[:2]] == ["NAME", "web"]
    assert not [line for line in lines if line.startswith("db")]


def test_json_is_the_supervisor_s_answer(tool: Tool, server: RunningServer) -> None:
    server.fake.tunnels = {"web": BACKOFF}
    done = tool("status", "--json")

    assert json.loads(done.out) == msgspec.to_builtins(server.fake.snapshot(None))
    assert done.code == 1


def test_without_tunnels_the_config_file_is_named(tool: Tool, server: RunningServer) -> None:
    server.fake.tunnels = {}

    assert tool("status").out == "no tunnels are configured in /etc/tunnels.toml\n"


def test_without_a_terminal_the_table_is_neither_cut_nor_coloured(
    tool: Tool, server: RunningServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "20")
    host = "user@" + "long." * 40 + "example.com"
    server.fake.tunnels = {"db": a_tunnel(host=host)}
    printed = tool("status").out

    assert host in printed
    assert "\x1b" not in printed


def test_brackets_are_not_interpreted_as_markup(tool: Tool, server: RunningServer) -> None:
    server.fake.tunnels = {"db": a_tunnel(forwards=[a_forward(connect="[red]:80")])}

    assert "-> [red]:80" in tool("status").out


@pytest.mark.parametrize("width", [60, 80, 120])
def test_on_a_terminal_the_table_fits_and_is_coloured(tool: Tool, width: int) -> None:
    tunnel = a_tunnel(host="tunnel@relay.example.com:22", jump=["bastion.example.com"])
    with running_server(tool.socket, tunnel) as server:
        coloured = status_on_terminal(server, width)
        plain = status_on_terminal(server, width, NO_COLOR="1")

    assert "\x1b[32mup" in coloured
    assert "\x1b[32m" not in plain
    lines = [line.replace("\x1b[1m", "").replace("\x1b[0m", "") for line in plain.splitlines()]
    assert max(map(len, lines)) <= width


def test_watch_updates_the_table_until_ctrl_c(server: RunningServer) -> None:
    master, slave = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "tunnelkeeper", "--socket", str(server.path), "status", "--watch"],
        stdout=slave,
        env=_environment() | {"TERM": "xterm", "COLUMNS": "120", "LINES": "20"},
    )
    os.close(slave)
    printed = ""
    try:
        server.fake.tunnels = {"db": a_tunnel()}
        while "me@relay" not in printed:
            printed += os.read(master, 65536).decode()
        server.publish(TunnelEvent(BACKOFF))
        while "Connection refused" not in printed:
            printed += os.read(master, 65536).decode()
        process.send_signal(signal.SIGINT)
        code = process.wait(60)
    finally:
        process.kill()
        process.wait()
        os.close(master)

    assert code == 1
    assert "\x1b[?1049h" not in printed  # it does not switch to the alternate screen


def test_the_wide_table_has_every_column_and_a_line_for_each_forward(
    tool: Tool, server: RunningServer
) -> None:
    tunnel = a_tunnel(forwards=[a_forward(), a_forward(listen="*:80", bytes_in=7)])
    server.fake.tunnels = {"db": tunnel}
    header, first, second = tool("status", "-o", "wide").out.splitlines()

    assert header.split()[-1] == "REASON"
    assert first.startswith("db    up     me@relay  L 5432 -> db.internal:5432")
    assert second.startswith("db    up     me@relay  L *:80 -> db.internal:5432")
    assert second.endswith("7 B / 0 B")


def test_output_json_is_the_supervisor_s_answer_too(tool: Tool, server: RunningServer) -> None:
    assert tool("status", "-o", "json").out == tool("status", "--json").out
    assert tool("status", "-o", "wide", "--json").code == 2


def test_printing_a_table_imports_neither_ssh_nor_the_dashboard(server: RunningServer) -> None:
    code = (
        "import sys; from tunnelkeeper.cli.main import run; "
        f"run(['--socket', {str(server.path)!r}, 'status']); "
        "sys.exit(bool(sys.modules.keys() & {'asyncssh', 'prompt_toolkit', 'asyncio', 'rich'}))"
    )

    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.parametrize("more", [[], ["--json"]])
def test_watch_needs_a_terminal(tool: Tool, server: RunningServer, more: list[str]) -> None:
    done = tool("status", "--watch", *more)

    assert done.code == 2
    assert "--watch needs a terminal" in done.err
