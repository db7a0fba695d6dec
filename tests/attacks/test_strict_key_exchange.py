"""Packets that someone on the way adds to a key exchange (Terrapin, CVE-2023-48795)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import asyncssh
import pytest

from tests.attacks.key_exchanges import injecting_proxy
from tests.e2e.sandbox import USER as SANDBOX_USER
from tests.relay.in_process_relay import serve_relay
from tests.ssh.attempts import failure_of
from tests.ssh.server import connected, serve
from tunnelkeeper.core.configuration import Host

if TYPE_CHECKING:
    from pathlib import Path

    from tests.e2e.sandbox import Sandbox


@pytest.mark.parametrize(("position", "is_refused"), [(-1, False), (0, True), (1, True)])
async def test_a_client_refuses_a_packet_that_was_injected_into_the_key_exchange(
    tmp_path: Path, position: int, is_refused: bool
) -> None:
    async with (
        serve(tmp_path) as server,
        injecting_proxy(server.port, to_server=False, position=position) as port,
    ):
        host = server.host(ports=(port,), host_key_alias=f"[127.0.0.1]:{server.port}")
        if is_refused:
            failure = await failure_of(host)
            assert "trict key exchange" in failure.message
            assert server.logins == []
        else:
            async with connected(host) as connection:
                assert connection.transport._strict_kex


@pytest.mark.parametrize(("position", "is_refused"), [(-1, False), (0, True), (1, True)])
async def test_the_relay_refuses_a_packet_that_was_injected_into_the_key_exchange(
    tmp_path: Path, position: int, is_refused: bool
) -> None:
    async with (
        serve_relay(tmp_path) as relay,
        injecting_proxy(relay.port, to_server=True, position=position) as port,
    ):
        if is_refused:
            with pytest.raises(asyncssh.ProtocolError, match="Strict key exchange violation"):
                async with relay.client(port=port):
                    pass
        else:
            async with relay.client(port=port):
                [client] = relay.server._clients
                assert client.transport._strict_kex
        assert bool(relay.clients) is False or not is_refused


async def test_strict_key_exchange_is_used_with_openssh(sandbox: Sandbox) -> None:
    server = sandbox.sshd()
    host = Host(
        name="server",
        hostname="127.0.0.1",
        user=SANDBOX_USER,
        ports=(server.port,),
        identity_files=(str(sandbox.key),),
        user_known_hosts=(str(sandbox.known_hosts),),
    )
    async with connected(host) as connection:
        assert connection.transport._strict_kex
