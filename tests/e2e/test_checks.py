"""End-to-end checks of forwards whose port listens, and the reaction to their failures."""

from __future__ import annotations

from typing import TYPE_CHECKING

import psutil

from tests.e2e.clients import exchange
from tests.e2e.ports import free_port
from tests.e2e.sandbox import Sandbox, tunnel_table
from tests.e2e.services import CHUNK, Handler, echo, web_page

if TYPE_CHECKING:
    import socket

    from tests.e2e.program import Program
    from tunnelkeeper.core.snapshot import CheckSnapshot, TunnelSnapshot

FREQUENT = ("check_interval = 0.2", "check_failures = 2")
NEVER_REPLACED = ("check_interval = 0.2", "check_failures = 1000")
SHORT_TIMEOUT = "check_timeout = 3"
"""For unanswered checks; long compared with the time for an answer, even on a busy machine."""


def never_answer(connection: socket.socket) -> None:
    """Read, and never answer."""
    while connection.recv(CHUNK):
        pass


def answering(status: list[str]) -> Handler:
    """Return a handler for HTTP requests; `status` holds the status line, which may change."""

    def answer(connection: socket.socket) -> None:
        connection.recv(CHUNK)
        connection.sendall(f"HTTP/1.1 {status[0]}\r\nContent-Length: 0\r\n\r\n".encode())

    return answer


def check_of(tunnel: TunnelSnapshot) -> CheckSnapshot:
    [forward] = tunnel.forwards
    assert forward.check is not None
    return forward.check


def wait_for_check(program: Program, *, ok: bool | None) -> TunnelSnapshot:
    """Wait until a check has this result; return the tunnel."""
    return program.wait_for("t", lambda t: (c := check_of(t)).at is not None and c.ok is ok)


def test_a_check_uses_the_connection_and_is_not_counted_as_traffic(sandbox: Sandbox) -> None:
    port, service = free_port(), sandbox.service(web_page("hello"))
    server = sandbox.sshd()
    forward = f'{{ listen = {port}, connect = "{service}", check = "http://intranet/health" }}'
    program = sandbox.program(tunnel_table("t", server.port, f"local = [{forward}]", *FREQUENT))
    program.up()

    wait_for_check(program, ok=True)
    good = program.wait_for_state("t", "up")

    assert check_of(good).kind == "http"
    assert check_of(good).ms is not None
    assert (good.connections_total, good.bytes_in, good.bytes_out) == (0, 0, 0)
    assert b"hello" in exchange(port, b"GET / HTTP/1.0\r\n\r\n")
    program.wait_for("t", lambda tunnel: tunnel.connections_total == 1)


def test_a_forward_whose_check_fails_is_never_reported_up_by_status_or_hook(
    sandbox: Sandbox,
) -> None:
    forward = f'{{ listen = {free_port()}, connect = "127.0.0.1:{free_port()}", check = "tcp" }}'
    marker = sandbox.directory / "marker"
    lines = (f"local = [{forward}]", f"on_up = ['touch', '{marker}']", *NEVER_REPLACED)
    program = sandbox.program(tunnel_table("t", sandbox.sshd().port, *lines))
    program.up()

    program.wait_for_state("t", "degraded", "check_failed")
    first = check_of(program.tunnel("t")).at
    program.wait_for("t", lambda tunnel: check_of(tunnel).at != first)

    assert not marker.exists()
    assert " t: up" not in program.log()


def test_status_500_degrades_the_tunnel_and_replaces_the_connection_once(sandbox: Sandbox) -> None:
    status = ["500 Internal Server Error"]
    port, service = free_port(), sandbox.service(answering(status))
    server = sandbox.sshd()
    forward = f'{{ listen = {port}, connect = "{service}", check = "http://intranet/health" }}'
    program = sandbox.program(tunnel_table("t", server.port, f"local = [{forward}]", *FREQUENT))
    program.up()

    degraded = program.wait_for_state("t", "degraded", "check_failed")
    assert degraded.failure is not None
    assert "answered /health with the HTTP status 500" in degraded.failure.message
    assert degraded.forwards[0].state == "failed"

    program.wait_for("t", lambda tunnel: tunnel.restarts == 1 and tunnel.state == "degraded")
    assert "2 checks in a row failed; replacing the connection" in program.log()
    failed_at = check_of(program.tunnel("t")).at
    program.wait_for("t", lambda tunnel: check_of(tunnel).at not in {failed_at, None})
    assert program.tunnel("t").restarts == 1
    assert server.logins() == 2

    status[0] = "204 No Content"
    program.wait_until_up("t")
    assert server.logins() == 2


def test_a_target_that_never_answers_passes_tcp_and_fails_http(sandbox: Sandbox) -> None:
    service, server = sandbox.service(never_answer), sandbox.sshd()
    bodies = [f'listen = {free_port()}, connect = "{service}"' for _ in range(2)]
    forwards = f'[{{ {bodies[0]}, check = "tcp" }}, {{ {bodies[1]}, check = "http://x/" }}]'
    lines = (f"local = {forwards}", *NEVER_REPLACED, SHORT_TIMEOUT)
    program = sandbox.program(tunnel_table("t", server.port, *lines))
    program.up()

    degraded = program.wait_for_state("t", "degraded", "check_failed")

    assert degraded.failure is not None
    assert f"no HTTP answer from {service} within 3 s" in degraded.failure.message
    assert [forward.state for forward in degraded.forwards] == ["listening", "failed"]


def test_a_socks_proxy_is_checked_with_the_target_in_the_check(sandbox: Sandbox) -> None:
    service, server = sandbox.service(web_page("hello")), sandbox.sshd()
    gone = free_port()
    forwards = ", ".join(
        f'{{ listen = {free_port()}, check = "{check}" }}'
        for check in (f"http://{service}/", f"tcp://127.0.0.1:{gone}")
    )
    program = sandbox.program(
        tunnel_table("t", server.port, f"socks = [{forwards}]", *NEVER_REPLACED)
    )
    program.up()

    degraded = program.wait_for_state("t", "degraded", "check_failed")

    assert degraded.failure is not None
    assert f"127.0.0.1:{gone}: " in degraded.failure.message
    assert "refused" in degraded.failure.message
    good = program.wait_for("t", lambda t: t.forwards[0].check and t.forwards[0].check.ok)
    assert good.forwards[0].state == "listening"


def test_a_remote_forward_is_checked_by_a_connection_back_through_its_port(
    sandbox: Sandbox,
) -> None:
    service, server = sandbox.service(web_page("hello")), sandbox.sshd()
    forwards = ", ".join(
        f'{{ listen = {listen}, connect = "{service}", check = "{check}" }}'
        for listen, check in ((free_port(), "tcp"), (0, "http://box/"))
    )
    program = sandbox.program(tunnel_table("t", server.port, f"remote = [{forwards}]", *FREQUENT))
    program.up()

    good = program.wait_for(
        "t", lambda t: t.state == "up" and all(f.check and f.check.ok for f in t.forwards)
    )

    assert (good.connections_total, good.bytes_in, good.bytes_out) == (0, 0, 0)
    chosen = int(good.forwards[1].listen.rpartition(":")[2])
    assert b"hello" in exchange(chosen, b"GET / HTTP/1.0\r\n\r\n")
    program.wait_for("t", lambda tunnel: tunnel.connections_total == 1)


def test_a_failed_check_of_a_remote_forward_reports_how_far_it_got(sandbox: Sandbox) -> None:
    server, gone = sandbox.sshd(), free_port()
    forward = f'{{ listen = 0, connect = "127.0.0.1:{gone}", check = "tcp" }}'
    program = sandbox.program(
        tunnel_table("t", server.port, f"remote = [{forward}]", *NEVER_REPLACED)
    )
    program.up()

    degraded = program.wait_for_state("t", "degraded", "check_failed")

    assert degraded.failure is not None
    assert "it came back here, but the target refused" in degraded.failure.message


def test_a_remote_port_of_a_hanging_server_process_is_bound_by_a_new_connection(
    sandbox: Sandbox,
) -> None:
    service, server = sandbox.service(web_page("hello")), sandbox.sshd()
    forward = f'{{ listen = 0, connect = "{service}", check = "tcp" }}'
    program = sandbox.program(
        tunnel_table("t", server.port, f"remote = [{forward}]", *FREQUENT, SHORT_TIMEOUT)
    )
    program.up()
    wait_for_check(program, ok=True)
    hung = [psutil.Process(pid) for pid in server.sessions()]

    for process in hung:
        process.suspend()
    try:
        degraded = program.wait_for_state("t", "degraded", "check_failed")
        assert degraded.failure is not None
        assert "on the server did not come back here within 3 s" in degraded.failure.message
        again = program.wait_for("t", lambda t: t.restarts == 1 and t.state == "up", within=20)
        assert check_of(again).ok
        port = int(again.forwards[0].listen.rpartition(":")[2])
        assert b"hello" in exchange(port, b"GET / HTTP/1.0\r\n\r\n")
    finally:
        for process in hung:
            process.resume()


def test_a_check_that_the_server_forbids_does_not_degrade_the_tunnel(
    sandbox: Sandbox,
) -> None:
    service = sandbox.service(echo)
    server = sandbox.sshd(AllowTcpForwarding="remote")
    forward = f'{{ listen = 0, connect = "{service}", check = "tcp" }}'
    program = sandbox.program(tunnel_table("t", server.port, f"remote = [{forward}]", *FREQUENT))
    program.up()

    unknown = wait_for_check(program, ok=None)

    assert unknown.state == "up"
    assert "the server does not let us connect to its own" in check_of(unknown).message
    assert server.logins() == 1


def test_a_reload_changes_a_check_and_keeps_the_connection(sandbox: Sandbox) -> None:
    port, service, server = free_port(), sandbox.service(never_answer), sandbox.sshd()
    forward = f'listen = {port}, connect = "{service}"'

    def config(check: str) -> str:
        local = f"local = [{{ {forward}, {check} }}]"
        return sandbox.config(tunnel_table("t", server.port, local, *NEVER_REPLACED, SHORT_TIMEOUT))

    program = sandbox.program()
    program.write_config(config('check = "tcp"'))
    program.up()
    wait_for_check(program, ok=True)

    program.write_config(config('check = "http://x/"'))
    output = program.succeed("reload")

    assert "settings changed on the live connection" in output
    program.wait_for_state("t", "degraded", "check_failed")
    program.write_config(config('check = "tcp"'))
    program.succeed("reload")
    program.wait_until_up("t")
    assert server.logins() == 1
