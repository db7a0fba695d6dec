"""The relay's options: connections that share them, host keys, and sizes of keys."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import asyncssh
import pytest
from asyncssh.packet import SSHPacket

from tests.e2e.keys import make_key
from tests.relay.in_process_relay import serve_relay
from tests.ssh.waiting import DEADLINE
from tunnelkeeper.relay.config import RelayConfiguration
from tunnelkeeper.relay.host_key import HostKeyError, load
from tunnelkeeper.relay.server_options import server_options
from tunnelkeeper.relay.transport import ServerTransport

if TYPE_CHECKING:
    from pathlib import Path


async def test_concurrent_connections_sign_with_the_algorithm_that_each_client_chose() -> None:
    options = server_options(RelayConfiguration(), [asyncssh.generate_private_key("ssh-rsa")])
    handler: Any = None
    loop = asyncio.get_running_loop()
    chosen = [b"rsa-sha2-256", b"rsa-sha2-512", b"rsa-sha2-256"]
    transports = [ServerTransport(loop, options, handler) for _ in chosen]

    for transport, name in zip(transports, chosen, strict=True):
        assert transport.choose_server_host_key([b"ssh-rsa", b"ssh-ed25519", name])
    keys = [transport.get_server_host_key() for transport in transports]

    assert [SSHPacket(key.sign(b"")).get_string() for key in keys if key is not None] == chosen


async def test_an_rsa_host_key_does_not_sign_with_sha_1() -> None:
    options = server_options(RelayConfiguration(), [asyncssh.generate_private_key("ssh-rsa")])
    handler: Any = None
    transport = ServerTransport(asyncio.get_running_loop(), options, handler)

    assert not transport.choose_server_host_key([b"ssh-rsa", b"ssh-rsa-sha256@ssh.com"])


def test_a_host_key_must_have_the_required_size(tmp_path: Path) -> None:
    path = make_key(tmp_path / "key", "rsa", bits=2048)

    load(path, required_rsa_size=2048)
    with pytest.raises(HostKeyError, match="an RSA key of 2048 bits, and required_rsa_size asks"):
        load(path, required_rsa_size=2049)


def test_a_host_key_of_an_old_type_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "key"
    path.touch(0o600)
    path.write_bytes(asyncssh.generate_private_key("ssh-dss").export_private_key("pkcs8-pem"))

    with pytest.raises(HostKeyError, match="ssh-dss is not supported as a host key"):
        load(path)


async def test_a_reload_that_raises_the_required_size_ends_weaker_connections(
    tmp_path: Path,
) -> None:
    key = asyncssh.generate_private_key("ssh-rsa", key_size=2048)
    async with serve_relay(tmp_path) as relay:
        relay.authorize(key)
        async with relay.client(key) as client, relay.client() as other:
            changes = await relay.reload(required_rsa_size=3072)

            async with asyncio.timeout(DEADLINE):
                await client.wait_closed()
            assert changes[-1].endswith("of 2048 bits, and required_rsa_size asks for 3072")
            assert not other.is_closed()
            with pytest.raises(asyncssh.PermissionDenied):
                async with relay.client(key):
                    pass
