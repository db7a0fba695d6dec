"""Settings of a live connection: RekeyLimit, IPQoS and WarnWeakCrypto of ssh_config(5)."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING, Any

import pytest

from tests.ssh.progress_recorder import ProgressRecorder
from tests.ssh.server import Server, connected, serve
from tunnelkeeper.core.ssh_values import IpQos, RekeyLimit

if TYPE_CHECKING:
    from pathlib import Path

    from tunnelkeeper.ssh.connection import Connection


def type_of_service(connection: Connection) -> int:
    sock: socket.socket = connection.transport.get_extra_info("socket")
    return sock.getsockopt(socket.IPPROTO_IP, socket.IP_TOS)


@pytest.mark.parametrize(
    ("qos", "expected"),
    [(IpQos(), 0), (IpQos(0x10, 0x20), 0x20), (IpQos(0x10, None), 0), (IpQos(None, 0x08), 0x08)],
)
async def test_the_type_of_service_is_set_after_the_login(
    server: Server, qos: IpQos, expected: int
) -> None:
    async with connected(server.host(ip_qos=qos)) as connection:
        assert type_of_service(connection) == expected
        connection.set_traffic_class(qos.interactive)
        assert type_of_service(connection) == (qos.interactive or expected)


@pytest.mark.parametrize(
    ("limit", "expected"),
    [
        (RekeyLimit(), (1 << 30, 3600)),
        (RekeyLimit(1 << 20), (1 << 20, 0)),
        (RekeyLimit(1 << 20, 60), (1 << 20, 60)),
        (RekeyLimit(0, 60), (1 << 30, 60)),
    ],
)
async def test_the_rekey_limit_replaces_the_defaults(
    server: Server, limit: RekeyLimit, expected: tuple[int, int]
) -> None:
    async with connected(server.host(rekey_limit=limit)) as connection:
        transport: Any = connection.transport
        assert (transport._rekey_bytes, transport._rekey_seconds) == expected
        assert transport.counts_received == bool(limit.size)


@pytest.mark.parametrize(
    ("options", "is_warned"),
    [
        ({"warn_weak_crypto": True}, True),
        ({"warn_weak_crypto": False}, False),
        ({"warn_weak_crypto": True, "kex_algorithms": "curve25519-sha256"}, False),
    ],
)
async def test_a_weak_key_exchange_is_logged_if_asked_for(
    tmp_path: Path, options: Any, is_warned: bool
) -> None:
    progress = ProgressRecorder()
    async with (
        serve(tmp_path, kex_algs=["curve25519-sha256"]) as server,
        connected(server.host(**options), progress) as connection,
    ):
        assert connection.transport.key_exchange == "curve25519-sha256"

    assert [text for text in progress.infos if "not post-quantum" in text] == progress.infos
    assert bool(progress.infos) is is_warned
