"""A client cannot reach what listens on the relay itself, or a cloud's metadata service."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack, asynccontextmanager
from ipaddress import IPv4Address, IPv6Address
from typing import TYPE_CHECKING

import asyncssh
import pytest

from tests.e2e.netns import new_network
from tests.relay import address_spellings
from tests.relay.in_process_relay import InProcessRelay, serve_relay

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

ANSWERED = {"-4": "198.51.100.0/24", "-6": "2001:db8:9::/48"}
"""Networks that the relay answers for (AnyIP), though no interface has an address of them."""

OWN_IPV4, OWN_IPV6 = IPv4Address("198.51.100.7"), IPv6Address("2001:db8:9::7")
INTERFACE = IPv4Address("10.77.1.1")
METADATA = (
    "169.254.169.254",
    "169.254.170.2",
    "100.100.100.200",
    "168.63.129.16",
    "192.0.0.192",
    "fd00:ec2::23",
    "fd00:ec2::254",
    "fd00:c1::a9fe:a9fe",
    "fd00:42::42",
    "fd20:ce::254",
    "::ffff:169.254.169.254",
    "64:ff9b::169.254.169.254",
    "2002:a9fe:a9fe::1",
)


class Service:
    """A service on every address of the relay that its clients must not reach."""

    def __init__(self) -> None:
        self.reached_from: list[str] = []
        self.port = 0

    @asynccontextmanager
    async def serving(self) -> AsyncIterator[None]:
        """Listen on every interface."""
        server = await asyncio.start_server(self._accept, ["0.0.0.0", "::"], self.port)
        self.port = server.sockets[0].getsockname()[1]
        try:
            yield
        finally:
            server.close()

    def _accept(self, _: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reached_from.append(writer.get_extra_info("sockname")[0])
        writer.close()


@asynccontextmanager
async def attacked_relay(folder: Path) -> AsyncIterator[tuple[InProcessRelay, Service]]:
    """Serve a relay, and a service beside it, on a machine with AnyIP routes."""
    with new_network() as network:
        async with AsyncExitStack() as stack:
            stack.enter_context(network.relay.entered())
            for family, answered in ANSWERED.items():
                network.relay.ip(family, "route", "add", "local", answered, "dev", "lo")
            service = Service()
            service.port = 8080
            await stack.enter_async_context(service.serving())
            yield await stack.enter_async_context(serve_relay(folder)), service


async def test_no_spelling_of_an_own_address_reaches_the_relay(tmp_path: Path) -> None:
    hosts = [
        *address_spellings.of_ipv4(OWN_IPV4),
        *address_spellings.of_ipv6(OWN_IPV6),
        *address_spellings.of_ipv4(INTERFACE),
        *address_spellings.of_ipv4(IPv4Address("127.0.0.1")),
        *("localhost", "LOCALHOST", "localhost.", "127.1", "2130706433", "0x7f000001", "0", "::"),
        "[::1]",
        "0xc6336407",  # 198.51.100.7
        "198.51.25607",
    ]
    async with attacked_relay(tmp_path) as (relay, service):
        reader, writer = await asyncio.open_connection(str(OWN_IPV4), service.port)
        assert await reader.read() == b""  # the relay itself reaches the service there
        writer.close()
        service.reached_from.clear()

        async with relay.client() as attacker:
            for host in hosts:
                with pytest.raises(asyncssh.ChannelOpenError):
                    await attacker.open_connection(host, service.port)

    assert service.reached_from == []


async def test_no_metadata_service_is_opened(relay: InProcessRelay) -> None:
    async with relay.client() as attacker:
        for host in METADATA:
            with pytest.raises(
                asyncssh.ChannelOpenError, match="metadata service, which is closed"
            ):
                await attacker.open_connection(host, 80)


async def test_a_private_network_is_closed_and_the_refusal_names_the_line(
    relay: InProcessRelay,
) -> None:
    async with relay.client() as attacker:
        with pytest.raises(asyncssh.ChannelOpenError) as refused:
            await attacker.open_connection("10.0.0.1", 80)

    assert refused.value.reason.endswith(
        'permit_open = ["*:*", "10.0.0.1:80"] of relay.toml opens it'
    )
