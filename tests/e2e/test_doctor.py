"""`doctor` beside real servers: a single fault is a single failure, and its remedy mends it."""

from __future__ import annotations

import json
import shlex
import socket
from contextlib import closing
from typing import TYPE_CHECKING, Any

from tests.e2e.ports import free_port
from tests.e2e.sandbox import tunnel_table
from tests.e2e.services import echo

if TYPE_CHECKING:
    from tests.e2e.program import Program
    from tests.e2e.sandbox import Sandbox


def failures(program: Program) -> list[dict[str, Any]]:
    found = json.loads(program.run("doctor", "--json").stdout)["checks"]
    return [each for each in found if each["status"] == "failed"]


def run_remedy(program: Program, remedy: str) -> None:
    words = shlex.split(remedy)
    assert words[0] == "tunnelkeeper", remedy
    program.succeed(*words[1:])


def test_a_single_fault_is_a_single_failure_until_its_remedy_has_run(sandbox: Sandbox) -> None:
    server, service = sandbox.sshd(), sandbox.service(echo)
    port = free_port()
    program = sandbox.program(
        tunnel_table("db", server.port, f'local = "{port}:{service}"'),
        tunnel_table("web", server.port, f'remote = "{free_port()}:{service}"'),
    )

    [missing] = failures(program)
    assert missing["name"] == "supervisor"
    run_remedy(program, missing["remedy"])
    program.wait_until_up("db", "web")
    assert failures(program) == []
    assert program.run("doctor").returncode == 0

    server.kill()
    program.wait_for_state("db", "backoff", "refused")
    program.wait_for_state("web", "backoff", "refused")
    refused = failures(program)
    assert [(each["name"], each["tunnel"]) for each in refused] == [
        ("tunnels", "db"),
        ("tunnels", "web"),
    ]
    server.start()
    program.wait_until_up("db", "web")
    assert failures(program) == []
    program.succeed("down")


def test_a_port_that_is_taken_is_named_with_its_owner_before_and_after_the_start(
    sandbox: Sandbox,
) -> None:
    server, service = sandbox.sshd(), sandbox.service(echo)
    with closing(socket.create_server(("127.0.0.1", 0))) as other:
        port = other.getsockname()[1]
        program = sandbox.program(tunnel_table("db", server.port, f'local = "{port}:{service}"'))
        before = {each["name"]: each["finding"] for each in failures(program)}
        program.up()
        program.wait_for_state("db", "degraded", "local_port_busy")
        [after] = failures(program)

    assert set(before) == {"supervisor", "local_ports"}
    assert f"port {port} is taken by" in before["local_ports"]
    assert after["name"] == "local_ports"
    assert f"port {port} is taken by" in after["finding"]
    program.wait_until_up("db")
    assert failures(program) == []
