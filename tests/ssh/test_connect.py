from __future__ import annotations

import asyncio
import gc
import socket
from typing import TYPE_CHECKING, Any

import pytest

from tests.ssh.attempts import failure_of
from tests.ssh.links import closed_port, dropping_server, full_backlog, silent_server
from tests.ssh.progress_recorder import ProgressRecorder
from tests.ssh.server import Server, connected, jump_host, new_key, serve, write_key
from tests.ssh.waiting import until
from tunnelkeeper.core.configuration import Keepalive
from tunnelkeeper.core.failures import Cause, FailureError
from tunnelkeeper.net import dial
from tunnelkeeper.ssh import connect
from tunnelkeeper.ssh.auth import file_cache
from tunnelkeeper.ssh.connect import connect_hop
from tunnelkeeper.ssh.context import SshContext

if TYPE_CHECKING:
    from pathlib import Path

SOON = 0.3
"""Seconds of a timeout that a test waits for."""


# Connecting


async def test_the_steps_are_reported_in_order_with_their_hop(server: Server) -> None:
    progress = ProgressRecorder()
    async with connected(server.host(), progress) as connection:
        assert str(connection.host) == f"me@127.0.0.1:{server.port}"

    assert progress.step_names == ["resolve", "connect", "key_exchange", "host_key", "login"]
    assert {hop for hop, _ in progress.steps} == {f"me@127.0.0.1:{server.port}"}


async def test_aes_gcm_is_the_default_cipher(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tunnelkeeper.ssh.auth.algorithms.has_aes_instructions", lambda: True)
    async with connected(server.host()) as connection:
        assert connection.cipher == "aes128-gcm@openssh.com"


@pytest.mark.parametrize("compression", [False, True])
async def test_configured_algorithms_are_used(server: Server, compression: bool) -> None:
    host = server.host(
        ciphers="aes256-ctr",
        macs="hmac-sha2-512",
        kex_algorithms="ecdh-sha2-nistp256",
        compression=compression,
        tcp_keepalive=False,
    )
    async with connected(host) as connection:
        info = connection.transport.get_extra_info
        assert connection.cipher == "aes256-ctr"
        assert info("send_mac") == "hmac-sha2-512"
        assert info("send_compression") == ("zlib@openssh.com" if compression else "none")
        raw = info("socket")
        assert raw.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) == 0


async def test_the_connection_comes_from_the_bind_address(server: Server) -> None:
    async with connected(server.host(bind_address="127.0.0.9")) as connection:
        assert connection.transport.get_extra_info("sockname")[0] == "127.0.0.9"


async def test_a_socket_that_is_disconnected_at_once_is_closed(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def connect(*_: object) -> socket.socket:
        return disconnected

    monkeypatch.setattr(dial, "connect", connect)
    with socket.socket() as disconnected:
        failure = await failure_of(server.host())

        assert disconnected.fileno() == -1
    assert failure.cause is Cause.UNREACHABLE


# Failures by step


async def test_a_name_that_does_not_resolve_has_the_cause_dns(server: Server) -> None:
    failure = await failure_of(server.host(hostname="no.such.host.invalid"))

    assert failure.cause is Cause.DNS


async def test_a_closed_port_is_refused(server: Server) -> None:
    port = closed_port()
    failure = await failure_of(server.host(ports=(port,)))

    assert failure.cause is Cause.REFUSED
    assert failure.hop == f"me@127.0.0.1:{port}"


async def test_a_server_that_closes_the_connection_at_once_is_lost(server: Server) -> None:
    async with dropping_server() as port:
        failure = await failure_of(server.host(ports=(port,)))

    assert failure.cause is Cause.LOST
    assert "MaxStartups" in failure.hint


async def test_algorithms_that_the_server_lacks_are_a_key_exchange_failure(tmp_path: Path) -> None:
    async with serve(tmp_path, encryption_algs=["aes256-ctr"]) as server:
        failure = await failure_of(server.host(ciphers="aes128-ctr"))

        assert failure.cause is Cause.KEY_EXCHANGE
        assert failure.message == "no common cipher algorithm; the server offers aes256-ctr"
        assert 'ciphers = "+aes256-ctr"' in failure.hint
        assert server.logins == []


async def test_unknown_algorithms_fail_before_anything_is_sent(server: Server) -> None:
    progress = ProgressRecorder()
    failure = await failure_of(server.host(ciphers="rot13"), progress)

    assert failure.cause is Cause.KEY_EXCHANGE
    assert progress.steps == []


async def test_a_refused_login_names_the_offered_keys(server: Server) -> None:
    server.refuse_logins = True
    failure = await failure_of(server.host())

    assert failure.cause is Cause.AUTH
    assert failure.message == (
        f"login as me refused; offered {server.user_key_file}; the server still accepts publickey"
    )
    assert failure.files[0] == server.user_key_file


async def test_a_login_that_the_server_ends_is_no_lost_connection(server: Server) -> None:
    server.end_login = True
    failure = await failure_of(server.host())

    assert failure.cause is Cause.AUTH
    assert "Too many authentication failures" in failure.message
    assert "identities_only" in failure.hint


async def test_a_connection_aborted_during_the_login_is_lost(server: Server) -> None:
    server.may_log_in.clear()
    async with asyncio.TaskGroup() as tasks:
        attempt = tasks.create_task(failure_of(server.host()))
        await until(lambda: server.logins)
        server.drop()

    assert attempt.result().cause is Cause.LOST


# Timeouts


async def test_a_resolver_that_hangs_times_out(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def never(*_: object) -> Any:
        await asyncio.Event().wait()

    monkeypatch.setattr(dial, "resolve", never)
    failure = await failure_of(server.host(connect_timeout=SOON))

    assert (failure.cause, failure.message) == (
        Cause.DNS,
        "the name was not resolved within 0.3 s",
    )


async def test_a_port_that_does_not_answer_times_out(server: Server) -> None:
    with full_backlog() as (_, port):
        failure = await failure_of(server.host(ports=(port,), connect_timeout=SOON))

    assert (failure.cause, failure.message) == (Cause.UNREACHABLE, "no connection within 0.3 s")


@pytest.mark.parametrize("greeting", [b"", b"SSH-2.0-mute\r\n"])
async def test_a_server_that_sends_nothing_times_out(server: Server, greeting: bytes) -> None:
    async with silent_server(greeting) as port:
        failure = await failure_of(server.host(ports=(port,), connect_timeout=SOON))

    assert (failure.cause, failure.message) == (
        Cause.TIMEOUT,
        "connected, but no SSH key exchange within 0.3 s",
    )


async def test_a_login_that_never_ends_times_out(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connect, "LOGIN_TIMEOUT", SOON)
    server.may_log_in.clear()
    failure = await failure_of(server.host())

    assert (failure.cause, failure.message) == (
        Cause.TIMEOUT,
        "the server has not finished the login within 0.3 s",
    )
    assert "UseDNS" in failure.hint


# Ports


@pytest.mark.parametrize("first", ["closed", "dropping", "not ssh", "mute"])
async def test_the_next_port_is_tried_if_the_first_fails(server: Server, first: str) -> None:
    progress = ProgressRecorder()
    async with (
        dropping_server() as dropping_port,
        silent_server(b"SSH-1.5-old\r\n") as ssh1_port,
        silent_server() as silent_port,
    ):
        ports = {
            "closed": closed_port(),
            "dropping": dropping_port,
            "not ssh": ssh1_port,
            "mute": silent_port,
        }
        host = server.host(ports=(ports[first], server.port), connect_timeout=1)
        async with connected(host, progress) as connection:
            assert connection.host.ports == (server.port,)

    assert len(progress.infos) == 1
    assert progress.infos[0].startswith(f"port {ports[first]}: ")
    assert progress.infos[0].endswith("; trying the next port")
    assert progress.steps[-1] == (f"me@127.0.0.1:{server.port}", "login")


async def test_the_failure_of_the_last_port_is_reported(server: Server) -> None:
    ports = closed_port(), closed_port()
    failure = await failure_of(server.host(ports=ports))

    assert failure.hop == f"me@127.0.0.1:{ports[1]}"


async def test_a_refused_login_is_not_tried_at_the_next_port(server: Server) -> None:
    server.refuse_logins = True
    progress = ProgressRecorder()
    failure = await failure_of(server.host(ports=(server.port, closed_port())), progress)

    assert failure.cause is Cause.AUTH
    assert progress.infos == []


# Through a jump host


async def test_the_steps_through_a_jump_host_begin_with_connect(
    server: Server, tmp_path: Path
) -> None:
    progress = ProgressRecorder()
    async with (
        jump_host(tmp_path) as (_, jump_connection),
        connected(server.host(), progress, jump_connection) as inner,
    ):
        assert inner.jump is jump_connection
        await until(lambda: inner.rtt_ms is not None)

    assert progress.step_names == ["connect", "key_exchange", "host_key", "login"]


async def test_a_target_that_the_jump_host_cannot_reach_is_refused(
    server: Server, tmp_path: Path
) -> None:
    async with jump_host(tmp_path) as (_, jump_connection):
        failure = await failure_of(server.host(ports=(closed_port(),)), via=jump_connection)

        assert failure.cause is Cause.REFUSED
        assert "the jump host could not connect" in failure.message
        assert not jump_connection.is_closed


async def test_a_jump_host_that_forbids_forwarding_is_a_jump_failure(
    server: Server, tmp_path: Path
) -> None:
    async with jump_host(tmp_path) as (jump, jump_connection):
        jump.refuse_opening = True
        failure = await failure_of(server.host(), via=jump_connection)

        assert failure.cause is Cause.JUMP
        assert "AllowTcpForwarding" in failure.hint


async def test_a_jump_host_that_does_not_answer_times_out_and_keeps_no_channel(
    server: Server, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with jump_host(tmp_path) as (jump, jump_connection):
        jump.may_open.clear()
        failure = await failure_of(server.host(connect_timeout=SOON), via=jump_connection)
        assert failure.message == "no connection within 0.3 s"

        jump.may_open.set()
        await until(lambda: not jump_connection.transport._channels)
        await until(lambda: not server.connections)
        assert not jump_connection.is_closed
    gc.collect()  # a future's unretrieved exception is logged when it is collected
    assert not caplog.records


# Shared state


async def test_a_key_file_is_read_once_for_all_attempts(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(file_cache, "TIMESTAMP_STEP_NS", 0)  # the file is new
    context = SshContext()
    for _ in range(2):
        connection = await connect_hop(server.host(), None, context, ProgressRecorder())
        await connection.close()

    assert list(context.keys._files._entries) == [server.user_key_file]


async def test_a_replaced_key_is_used_at_the_next_attempt(server: Server, tmp_path: Path) -> None:
    context = SshContext()
    key_file = write_key(tmp_path / "id", new_key())
    host = server.host(identity_files=(key_file,))
    with pytest.raises(FailureError):
        await connect_hop(host, None, context, ProgressRecorder())

    write_key(tmp_path / "id", server.user_key)

    connection = await connect_hop(host, None, context, ProgressRecorder())
    assert not connection.is_closed
    await connection.close()


# The kernel's timeout


@pytest.mark.skipif(not hasattr(socket, "TCP_USER_TIMEOUT"), reason="Linux's own option")
@pytest.mark.parametrize(
    ("keepalive", "tcp_keepalive", "milliseconds"),
    [(Keepalive(15, 3), True, 60_000), (Keepalive(0, 3), True, 0), (Keepalive(15, 3), False, 0)],
    ids=["as the keepalives", "no keepalives", "no TCP keepalive"],
)
async def test_the_user_timeout_of_the_kernel_equals_that_of_the_keepalives(
    server: Server, keepalive: Keepalive, tcp_keepalive: bool, milliseconds: int
) -> None:
    host = server.host(keepalive=keepalive, tcp_keepalive=tcp_keepalive)
    async with connected(host) as connection:
        raw = connection.transport.get_extra_info("socket")
        limit = raw.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT)

        assert limit == milliseconds
