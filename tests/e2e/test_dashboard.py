"""The dashboard in a terminal, with a real supervisor and real servers."""

from __future__ import annotations

import os
import re
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

from tests.e2e.ports import free_port
from tests.e2e.program import SOURCE
from tests.e2e.sandbox import host_table, socks_tunnel, tunnel_table
from tests.e2e.services import echo
from tests.e2e.terminal import Terminal
from tests.e2e.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.e2e.program import Program
    from tests.e2e.sandbox import Sandbox
    from tests.e2e.sshd import Sshd

COMMAND = [sys.executable, "-m", "tunnelkeeper", "dashboard"]


@contextmanager
def dashboard(
    sandbox: Sandbox, program: Program, columns: int = 120, rows: int = 35, **environment: str
) -> Iterator[Terminal]:
    terminal = Terminal(sandbox.directory / "tmux", columns, rows)
    try:
        variables = program.environment | {"LC_ALL": "C.UTF-8"} | environment
        terminal.run(COMMAND, {name: value for name, value in variables.items() if value})
        yield terminal
    finally:
        terminal.close()


def seven_tunnels(sandbox: Sandbox) -> tuple[Program, Sshd]:
    """Run tunnels of every kind, a broken one and a stopped one; return program and server."""
    server, inner = sandbox.sshd(), sandbox.sshd()
    port = sandbox.service(echo).port
    program = sandbox.program(
        host_table("relay", server.port),
        host_table("inner", inner.port, 'jump = ["relay"]'),
        tunnel_table(
            "db", "relay", f'local = "{free_port()}:127.0.0.1:{port}"', 'groups = ["work"]'
        ),
        tunnel_table("back", "relay", f'remote = "{free_port()}:127.0.0.1:{port}"'),
        socks_tunnel("browse", "relay", 'groups = ["work"]'),
        tunnel_table("deep", "inner", f'local = "{free_port()}:127.0.0.1:{port}"'),
        tunnel_table(
            "many",
            "relay",
            f'local = ["{free_port()}:127.0.0.1:{port}", "{free_port()}:127.0.0.1:{port}"]',
            f'remote = "{free_port()}"',
        ),
        socks_tunnel("broken", free_port(), "backoff = { initial = 60, max = 60, jitter = 0 }"),
        socks_tunnel("spare", "relay", "autostart = false"),
    )
    program.up()
    for name in ("db", "back", "browse", "deep", "many"):
        program.wait_for_state(name, "up", within=30)
    return program, server


def row(screen: str, name: str) -> str:
    """Return a tunnel's row, or an empty string."""
    match = re.search(rf"^.\S {re.escape(name)} .*$", screen, re.MULTILINE)
    return match.group() if match else ""


def test_it_shows_all_tunnels_and_reacts_to_keys(sandbox: Sandbox) -> None:
    program, _ = seven_tunnels(sandbox)
    with dashboard(sandbox, program) as terminal:
        screen = terminal.wait_for_text("● 5 up", "↻ 1 backoff", "○ 1 stopped", "tunnels 7", "CPU")
        for text in ("NAME", "HOST", "FORWARDS", "SINCE", "RTT", "REASON"):
            assert text in screen
        for text in ("0.1.0", str(program.config.name)):
            assert text in screen
        assert "refused" in row(screen, "broken")
        assert re.search(r" via | \+1 ", row(screen, "deep"))
        assert re.search(r"L \d+ → 127", row(screen, "db"))

        terminal.press("Enter")
        terminal.wait_for_text("Hops", "Forwards", "aes128-gcm", "Events")
        terminal.press("x")
        terminal.wait_for_text("stop db: done", "○ db")
        assert program.tunnel("db").state == "stopped"
        terminal.press("s")
        terminal.wait_for_text("● db")
        program.wait_for_state("db", "up")
        terminal.press("Down", "r")
        terminal.wait_for_text("restart back: requested")
        wait_until(lambda: program.tunnel("back").restarts == 1, 30)

        terminal.press("/")
        terminal.write("group=work")
        terminal.wait_for_screen(lambda s: row(s, "browse") and not row(s, "deep"), "filtered")
        terminal.press("Enter", "Escape")
        terminal.wait_for_screen(lambda s: row(s, "deep"), "not filtered")
        terminal.press("g", "i")
        terminal.wait_for_text("log of db", "tunnelkeeper show db", "Esc back")
        terminal.press("q", "Space")
        terminal.wait_for_text("▸ work  2 tunnels  ● 2 up")
        terminal.press("Space")
        terminal.wait_for_screen(lambda s: row(s, "db") and row(s, "browse"), "unfolded")
        terminal.press("l")
        terminal.wait_for_text("log of ")
        terminal.press("?")
        terminal.wait_for_text("restart gracefully", "lines 1-", "Esc back")
        terminal.press("Escape")
        terminal.press(":")
        terminal.write("restart dee")
        terminal.press("Tab", "Enter")
        terminal.wait_for_text("restart deep: requested")
        terminal.press("q")
        terminal.wait_for_text("ended with 0")
    assert program.tunnel("db").state == "up"


def test_e_edits_the_config_file_until_it_is_valid_and_reloads_it(sandbox: Sandbox) -> None:
    server = sandbox.sshd()
    program = sandbox.program(socks_tunnel("db", server.port), socks_tunnel("web", server.port))
    program.up()
    editor = sandbox.directory / "vi"  # by its name, the dashboard knows how it takes a line
    editor.write_text(
        "#!/bin/sh\n"
        'echo "line: $(sed -n "${1#+}p" "$2")"\n'
        'if grep -q oops "$2"; then sed -i "s/oops = 1/autostart = false/" "$2"\n'
        'else echo "oops = 1" >> "$2"; fi\n'
    )
    editor.chmod(0o755)
    with dashboard(sandbox, program, VISUAL="", EDITOR=str(editor)) as terminal:
        terminal.wait_for_text("● 2 up")
        terminal.press("Down", "e")
        terminal.wait_for_text("line: [tunnels.web]", "oops: unknown key", "e: edit again")
        terminal.press("Enter")
        terminal.wait_for_text("reloaded: web", "● db")
        terminal.press("q")
        terminal.wait_for_text("ended with 0")
    assert "autostart = false" in program.config.read_text()


def test_it_shows_a_server_outage_and_its_end(sandbox: Sandbox) -> None:
    program, server = seven_tunnels(sandbox)
    with dashboard(sandbox, program) as terminal:
        terminal.wait_for_text("● 5 up")
        server.kill()
        terminal.wait_for_text("0 up", "refused")
        server.start()
        screen = terminal.wait_for_text("● 5 up")
        assert "1" in row(screen, "db").split()


def test_it_shows_that_the_supervisor_is_killed_and_restarted(sandbox: Sandbox) -> None:
    program, _ = seven_tunnels(sandbox)
    with dashboard(sandbox, program) as terminal:
        terminal.wait_for_text("● 5 up")
        program.kill()
        terminal.wait_for_text("supervisor disconnected", "u starts one", "● db")
        program.up()
        terminal.wait_for_text("● 5 up", without="disconnected")


def test_a_key_starts_a_missing_supervisor(sandbox: Sandbox) -> None:
    server = sandbox.sshd()
    program = sandbox.program(socks_tunnel("db", server.port))
    with dashboard(sandbox, program) as terminal:
        terminal.wait_for_text("no supervisor is running", "u starts one")
        terminal.press("u")
        terminal.wait_for_text("● 1 up", "● db")
    assert program.tunnel("db").state == "up"


def test_the_key_starts_the_file_on_the_screen(sandbox: Sandbox) -> None:
    server = sandbox.sshd()
    program = sandbox.program(socks_tunnel("db", server.port))
    other = program.config.with_name("other.toml")
    other.write_text(socks_tunnel("other", server.port))
    program.up()
    with dashboard(sandbox, program, TUNNELKEEPER_CONFIG=str(other)) as terminal:
        terminal.wait_for_text("● 1 up", "● db")
        program.kill()
        terminal.wait_for_text("supervisor disconnected")
        terminal.press("u")
        terminal.wait_for_text("● 1 up", "● db", without="disconnected")

    assert program.status().supervisor.config == str(program.config)


@pytest.mark.parametrize(("columns", "rows"), [(60, 15), (80, 24), (200, 50)])
def test_it_fits_windows_of_any_size_and_resizes(sandbox: Sandbox, columns: int, rows: int) -> None:
    server = sandbox.sshd()
    program = sandbox.program(socks_tunnel("db", server.port))
    program.up()
    with dashboard(sandbox, program, columns, rows) as terminal:
        terminal.wait_for_text("● db", "quit")
        terminal.resize(100, 30)
        terminal.wait_for_screen(
            lambda text: "● db" in text and max(map(len, text.splitlines())) == 100, "resized"
        )
        terminal.resize(columns, rows)
        terminal.wait_for_screen(
            lambda text: max(map(len, text.splitlines())) == columns, "resized back"
        )


def test_it_respects_no_color_and_a_locale_without_utf8(sandbox: Sandbox) -> None:
    server = sandbox.sshd()
    program = sandbox.program(socks_tunnel("db", server.port))
    program.up()
    with dashboard(sandbox, program, LC_ALL="C") as terminal:
        terminal.wait_for_text("+ db", "1 up")
        captured = terminal.screen(coloured=True)
        assert captured.isascii()
        assert not re.search(r"\x1b\[(?:\d+;)*[349][0-7]m", captured)


def test_the_demo_opens_it_and_removes_all_files(sandbox: Sandbox) -> None:
    terminal = Terminal(sandbox.directory / "tmux", 120, 35)
    directory = sandbox.subdirectory("d")
    kept = {name: os.environ[name] for name in ("PATH", "PYTHONPATH") if name in os.environ}
    settings = {"TMPDIR": str(directory), "HOME": str(directory), "LC_ALL": "C.UTF-8"}
    try:
        terminal.run([*COMMAND[:-1], "demo"], kept | settings | {"PYTHONPATH": str(SOURCE)})
        terminal.wait_for_text("● 6 up", "curl http://127.0.0.1:", "box")
        terminal.press("l")
        terminal.wait_for_text("following")
        terminal.press("q")
        terminal.wait_for_text("everything is removed", "ended with 0")
    finally:
        terminal.close()
    assert list(directory.iterdir()) == []
