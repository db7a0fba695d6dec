"""The replacement of a connection while clients use it, without an interruption."""

from __future__ import annotations

import contextlib
import socket
import time
from contextlib import contextmanager
from threading import Event, Thread
from typing import TYPE_CHECKING

import psutil
import pytest

from tests.e2e.clients import MEGABYTE, blob, connected, exchange, receive_exactly
from tests.e2e.keys import make_key, public
from tests.e2e.ports import free_port
from tests.e2e.sandbox import Sandbox, tunnel_table
from tests.e2e.services import echo, sender
from tests.e2e.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.e2e.program import Program

DATA = blob(48 * MEGABYTE)
"""More than all buffers on the path hold, so the transfer lasts until its reader has read it."""

MAX_GAP = 5.0
"""Seconds for which the server's port may be unbound; on loopback it takes some milliseconds."""


class Clients:
    """Sequential clients until stopped: counts of successes, wrong answers and refusals."""

    def __init__(self, send: Callable[[bytes], bytes]) -> None:
        self.served = 0
        self.wrong: list[bytes] = []
        self.refused: list[float] = []
        self._send = send
        self._stop = Event()

    @contextmanager
    def running(self) -> Iterator[Clients]:
        """Run clients inside the context."""
        thread = Thread(target=self._run)
        thread.start()
        try:
            yield self
        finally:
            self._stop.set()
            thread.join()

    def wait_for_more(self, count: int = 20) -> None:
        """Wait until this many more clients were served."""
        target = self.served + count
        wait_until(lambda: self.served >= target, within=30, message=lambda: str(vars(self)))

    def _run(self) -> None:
        while not self._stop.is_set():
            request = f"client {self.served}".encode()
            try:
                answer = self._send(request)
            except OSError:
                self.refused.append(time.monotonic())
                continue
            if answer == request:
                self.served += 1
            else:
                self.wrong.append(answer)


def through_socks(proxy: int, port: int) -> Callable[[bytes], bytes]:
    """Return a function that sends a request to a local port through a SOCKS proxy (RFC 1928)."""

    def send(request: bytes) -> bytes:
        with connected(proxy) as client:
            open_socks(client, port)
            client.sendall(request)
            client.shutdown(socket.SHUT_WR)
            return receive_exactly(client, len(request) + 1)

    return send


def open_socks(client: socket.socket, port: int) -> None:
    client.sendall(b"\x05\x01\x00" + b"\x05\x01\x00\x01\x7f\x00\x00\x01" + port.to_bytes(2, "big"))
    assert receive_exactly(client, 2) == b"\x05\x00"
    answer = receive_exactly(client, 10)
    assert answer[1] == 0, f"SOCKS: {answer!r}"


def wait_until_replaced(program: Program, restarts: int = 1) -> None:
    """Wait until the new connection is in use."""
    program.wait_for("t", lambda t: t.restarts >= restarts and t.state == "up", within=20)


def wait_until_drained(program: Program) -> None:
    """Wait until the old connection is closed."""
    program.wait_for("t", lambda t: t.replacement is None, within=20)


@pytest.mark.parametrize("kind", ["local", "socks", "remote"])
def test_a_transfer_survives_a_graceful_restart_byte_for_byte(sandbox: Sandbox, kind: str) -> None:
    server = sandbox.sshd()
    service = sandbox.service(sender(DATA))
    port = free_port()
    spec = f"{port}" if kind == "socks" else f"{port}:{service}"
    program = sandbox.program(tunnel_table("t", server.port, f'{kind} = "{spec}"'))
    program.up()
    program.wait_until_up()

    with connected(port) as client:
        if kind == "socks":
            open_socks(client, service.port)
        first_part = receive_exactly(client, MEGABYTE)
        program.succeed("restart", "--graceful", "t")
        wait_until_replaced(program)
        draining = program.tunnel("t").replacement
        assert draining is not None
        assert (draining.state, draining.connections) == ("draining", 1)
        assert "draining 1" in program.succeed("status", "t")
        rest = receive_exactly(client, len(DATA) - len(first_part))
        assert client.recv(1) == b""

    assert first_part + rest == DATA
    wait_until_drained(program)
    assert server.logins() == 2
    assert f"draining {1}" not in program.succeed("status", "t")


@pytest.mark.parametrize("kind", ["local", "socks"])
def test_no_client_is_refused_while_a_connection_is_replaced(sandbox: Sandbox, kind: str) -> None:
    server = sandbox.sshd()
    service = sandbox.service(echo)
    port = free_port()
    spec = f"{port}" if kind == "socks" else f"{port}:{service}"
    program = sandbox.program(
        tunnel_table("t", server.port, f'{kind} = "{spec}"', "hold_timeout = 0")
    )
    program.up()
    program.wait_until_up()
    send = through_socks(port, service.port) if kind == "socks" else lambda q: exchange(port, q)

    with Clients(send).running() as clients:
        clients.wait_for_more()
        for count in (1, 2, 3):
            program.succeed("restart", "--graceful", "t")
            wait_until_replaced(program, count)
            wait_until_drained(program)
            clients.wait_for_more()

    assert (clients.wrong, clients.refused) == ([], [])
    assert server.logins() == 4


def test_a_remote_port_is_unbound_only_briefly(sandbox: Sandbox) -> None:
    server = sandbox.sshd()
    service = sandbox.service(echo)
    port = free_port()
    program = sandbox.program(tunnel_table("t", server.port, f'remote = "{port}:{service}"'))
    program.up()
    program.wait_until_up()

    with Clients(lambda request: exchange(port, request)).running() as clients:
        clients.wait_for_more()
        program.succeed("restart", "--graceful", "t")
        wait_until_replaced(program)
        clients.wait_for_more()
        wait_until_drained(program)
        clients.wait_for_more()

    # Connections that sshd has not accepted when it closes the port are reset.
    assert set(clients.wrong) <= {b""}
    gap = clients.refused[-1] - clients.refused[0] if clients.refused else 0
    assert gap < MAX_GAP
    assert "remote_port_busy" not in program.log()


def test_a_remote_port_that_the_server_chose_stays_the_same(sandbox: Sandbox) -> None:
    server = sandbox.sshd()
    service = sandbox.service(echo)
    program = sandbox.program(tunnel_table("t", server.port, f'remote = "0:{service}"'))
    program.up()
    program.wait_until_up()
    [before] = program.tunnel("t").forwards

    program.succeed("restart", "--graceful", "t")
    wait_until_replaced(program)
    wait_until_drained(program)

    [after] = program.tunnel("t").forwards
    assert after.listen == before.listen
    assert exchange(int(after.listen.rpartition(":")[2]), b"data") == b"data"


def test_behind_a_jump_host_only_the_last_connection_is_replaced(sandbox: Sandbox) -> None:
    jump, server = sandbox.sshd(), sandbox.sshd()
    port, service = free_port(), sandbox.service(echo)
    jump_line = f'jump = "127.0.0.1:{jump.port}"'
    program = sandbox.program(
        tunnel_table("t", server.port, jump_line, f'local = "{port}:{service}"')
    )
    program.up()
    program.wait_until_up()

    program.succeed("restart", "--graceful", "t")
    wait_until_replaced(program)
    wait_until_drained(program)

    assert exchange(port, b"data") == b"data"
    assert (jump.logins(), server.logins()) == (1, 2)


def test_clients_notice_nothing_of_short_connection_lifetimes(sandbox: Sandbox) -> None:
    server = sandbox.sshd()
    service = sandbox.service(echo)
    port = free_port()
    program = sandbox.program(
        tunnel_table(
            "t", server.port, f'local = "{port}:{service}"', "max_lifetime = 2", "hold_timeout = 0"
        )
    )
    supervisor = psutil.Process(program.up().pid)
    program.wait_until_up()

    with Clients(lambda request: exchange(port, request)).running() as clients:
        wait_until_replaced(program, restarts=2)
        wait_until_drained(program)
        descriptors, memory = supervisor.num_fds(), supervisor.memory_info().rss
        wait_until_replaced(program, restarts=6)
        wait_until_drained(program)

    assert (clients.wrong, clients.refused) == ([], [])
    wait_until(lambda: supervisor.num_fds() <= descriptors, within=10)
    assert supervisor.memory_info().rss < memory + 16 * MEGABYTE
    assert program.tunnel("t").state == "up"


def test_transfers_longer_than_drain_timeout_are_closed(sandbox: Sandbox) -> None:
    server = sandbox.sshd()
    port = free_port()
    program = sandbox.program(
        tunnel_table(
            "t",
            server.port,
            f'local = "{port}:{sandbox.service(sender(DATA))}"',
            "drain_timeout = 1",
        )
    )
    program.up()
    program.wait_until_up()

    with connected(port) as client:
        assert receive_exactly(client, MEGABYTE) == DATA[:MEGABYTE]
        program.succeed("restart", "--graceful", "t")
        wait_until_replaced(program)
        wait_until_drained(program)
        with contextlib.suppress(ConnectionResetError):
            assert len(receive_exactly(client, len(DATA))) < len(DATA) - MEGABYTE

    assert "drain_timeout: closing the open channels of the old connection" in program.log()


@pytest.mark.parametrize("problem", ["login", "host key"])
def test_a_connection_that_cannot_be_replaced_stays_in_use(sandbox: Sandbox, problem: str) -> None:
    server = sandbox.sshd()
    port = free_port()
    program = sandbox.program(
        tunnel_table("t", server.port, f'local = "{port}:{sandbox.service(echo)}"')
    )
    program.up()
    program.wait_until_up()
    authorized, known = sandbox.authorized_keys.read_text(), sandbox.known_hosts.read_text()
    if problem == "login":
        sandbox.authorized_keys.write_text("")
    else:
        other_key = make_key(sandbox.subdirectory("k") / "key")
        sandbox.known_hosts.write_text(f"[127.0.0.1]:{server.port} {public(other_key)}\n")

    program.succeed("restart", "--graceful", "t")
    pending = program.wait_for("t", lambda t: t.replacement and t.replacement.failure)

    assert (pending.state, pending.failure) == ("up", None)
    assert pending.replacement is not None
    assert pending.replacement.failure is not None
    assert (
        pending.replacement.failure.cause
        == {"login": "auth", "host key": "host_key_changed"}[problem]
    )
    assert "not replaced: " in program.succeed("status", "t")
    assert exchange(port, b"data") == b"data"

    sandbox.authorized_keys.write_text(authorized)
    sandbox.known_hosts.write_text(known)
    if problem == "login":  # no local file changes when the server's file is fixed
        program.succeed("restart", "--graceful", "t")
    wait_until_replaced(program)
    wait_until_drained(program)
    assert exchange(port, b"new connection") == b"new connection"
