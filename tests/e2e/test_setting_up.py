"""Setting tunnels up without an editor, with the real program and a real sshd."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.e2e.clients import exchange
from tests.e2e.ports import free_port
from tests.e2e.services import echo

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
