"""Choice among the addresses of a host, and the messages of failures."""

from __future__ import annotations

import asyncio
import errno
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, NoReturn

import pytest

from tests.forwarding.services import echo, service
from tunnelkeeper.core.connect_error import ConnectError, Reason
from tunnelkeeper.relay import open_target
from tunnelkeeper.relay.budgets import relay_lookups
from tunnelkeeper.relay.config import RelayConfiguration
from tunnelkeeper.relay.key_options import KeyOptions
from tunnelkeeper.relay.permits import ANYTHING, HostPermit, Permit
from tunnelkeeper.relay.registry import Registry
from tunnelkeeper.relay.resolver import Resolver

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from tunnelkeeper.forwarding.pump import SocketEndpoint

CLOSED_HOST = "127.0.0.9"  # no listener, and an immediate refusal
CLOSED = "169.254.169.254"


class FixedResolver(Resolver):
    """A resolver that returns the same addresses for every name."""

    def __init__(self, *addresses: str) -> None:
        super().__init__(relay_lookups(), ())
        self._addresses = list(addresses)

    async def addresses_of(self, host: str) -> list[str]:
        del host
        return self._addresses


async def open_host(port: int, *addresses: str, permits: tuple[Permit, ...] = ()) -> SocketEndpoint:
    """Open a host that has these addresses; loopback addresses are permitted by name."""
    loopback_permits = tuple(HostPermit(address, None) for address in ("127.0.0.1", CLOSED_HOST))
    configuration = RelayConfiguration(permit_open=permits or (ANYTHING, *loopback_permits))
    resolver = FixedResolver(*addresses)
    return await open_target.open_tcp(
        "host.example.com", port, configuration, KeyOptions(), Registry(), resolver
    )


@asynccontextmanager
async def target(at: Path | None = None) -> AsyncIterator[int]:
    """Serve, and check on exit that a client has connected."""
    is_connected = asyncio.Event()

    async def read_until_eof(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
        is_connected.set()
        await reader.read()

    async with service(read_until_eof, at) as port:
        yield port
        await is_connected.wait()


async def test_the_first_address_that_accepts_is_used() -> None:
    async with target() as port:
        endpoint = await open_host(port, CLOSED_HOST, CLOSED, "127.0.0.1")
        assert endpoint.origin == ("127.0.0.1", port)
        endpoint.close()


async def test_a_host_with_closed_addresses_only_is_refused() -> None:
    with pytest.raises(ConnectError, match="metadata service, which is closed") as refused:
        await open_host(80, CLOSED, "fe80::1")
    assert refused.value.reason is Reason.NOT_PERMITTED


async def test_a_name_that_resolves_to_the_relay_is_refused() -> None:
    with pytest.raises(ConnectError, match="which is closed"):
        await open_host(80, "127.0.0.1", permits=(ANYTHING,))


async def test_a_host_without_addresses_is_refused() -> None:
    with pytest.raises(ConnectError, match=r"host\.example\.com has no address"):
        await open_host(80)


async def test_a_host_is_refused_while_the_kernel_cannot_say_which_addresses_are_its_own(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def fail(_: str) -> NoReturn:
        raise OSError(errno.EMFILE, "Too many open files")

    monkeypatch.setattr(open_target, "is_local", fail)
    with pytest.raises(ConnectError, match="the relay's own: Too many open files") as refused:
        await open_host(80, "192.0.2.1")
    assert refused.value.reason is Reason.RESOURCE_SHORTAGE


async def test_a_refused_connection_has_the_message_of_the_system() -> None:
    with pytest.raises(ConnectError) as refused:
        await open_host(1, CLOSED_HOST)
    assert str(refused.value) == f"{CLOSED_HOST}:1: Connection refused"
    assert refused.value.reason is Reason.REFUSED


async def test_after_a_timeout_the_next_address_is_tried(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def never(*_: object) -> None:
        raise TimeoutError

    monkeypatch.setattr(open_target, "connect_endpoint", never)
    with pytest.raises(ConnectError, match="no answer within 10 s") as refused:
        await open_host(80, CLOSED_HOST, "127.0.0.1")
    assert refused.value.reason is Reason.TIMED_OUT


# -- paths -----------------------------------------------------------------------------------------


async def open_path(path: Path, folder: Path) -> SocketEndpoint:
    configuration = RelayConfiguration(unix_socket_dir=str(folder))
    return await open_target.open_path(str(path), configuration, KeyOptions())


async def test_a_socket_below_the_folder_is_reached(tmp_path: Path) -> None:
    path = tmp_path / "s.sock"
    async with target(path):
        endpoint = await open_path(path, tmp_path)
        endpoint.close()


async def test_a_symbolic_link_does_not_lead_out_of_the_folder(tmp_path: Path) -> None:
    outside, folder = tmp_path / "outside", tmp_path / "inside"
    outside.mkdir()
    folder.mkdir()
    (folder / "link").symlink_to(outside)
    (folder / "s.sock").symlink_to(outside / "s.sock")
    async with service(echo, at=outside / "s.sock"):
        for path in (folder / "link" / "s.sock", folder / "s.sock"):
            with pytest.raises(ConnectError, match="leads out of the folder"):
                await open_path(path, folder)


async def test_the_folder_itself_may_be_a_symbolic_link(tmp_path: Path) -> None:
    real, link = tmp_path / "real", tmp_path / "link"
    real.mkdir()
    link.symlink_to(real)
    async with target(real / "s.sock"):
        endpoint = await open_path(link / "s.sock", link)
        endpoint.close()
