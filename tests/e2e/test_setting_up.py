"""Setting tunnels up without an editor, with the real program and a real sshd."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.e2e.clients import exchange
from tests.e2e.ports import free_port
from tests.e2e.program import COMMAND
from tests.e2e.services import echo
from tests.e2e.terminal import Terminal

if TYPE_CHECKING:
    from tests.e2e.sandbox import Sandbox


def test_a_tunnel_is_added_started_and_removed_without_an_editor(sandbox: Sandbox) -> None:
    server, service, port = sandbox.sshd(), sandbox.service(echo), free_port()
    program = sandbox.program()
    host = f"127.0.0.1:{server.port}"

    added = program.succeed("add", "db", host, "-L", f"{port}:127.0.0.1:{service.port}", "--up")

    assert added.splitlines()[-1] == "up: db"
    assert exchange(("127.0.0.1", port), b"hello") == b"hello"
    again = program.succeed("add", "web", host, "-D", str(free_port()))
    assert "has reloaded the file: web: added" in again
    program.wait_until_up("web")
    assert "reloaded the file: db: removed; web: removed" in program.succeed("remove", "*")
    assert program.status().tunnels == []


def test_an_invalid_text_leads_back_to_the_editor(sandbox: Sandbox) -> None:
    program = sandbox.program()
    editor = sandbox.directory / "editor"
    editor.write_text('#!/bin/sh\nread line; echo "$line" >> "$1"\n')
    editor.chmod(0o755)
    terminal = Terminal(sandbox.directory / "tmux", 80, 24)
    sandbox.add_cleanup(terminal.close)
    terminal.run([*COMMAND, "edit"], {**program.environment, "EDITOR": str(editor)})

    terminal.write("hots = 1")
    terminal.press("Enter")
    terminal.wait_for_text("defaults.hots", "e: edit again")
    terminal.press("Enter")
    terminal.write("hots = 2")
    terminal.press("Enter")
    terminal.wait_for_text("the key is defined twice", "e: edit again")
    terminal.write("k")
    terminal.press("Enter")

    terminal.wait_for_text("is unchanged;", "ended with 2")
    assert "hots" in (program.config.parent / "tunnels.edited.toml").read_text()
    assert program.config.read_text() == sandbox.config()
