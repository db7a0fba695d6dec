"""Outgoing connections for clients: to a host and port, or to a Unix socket.

A host is resolved once; policy checks its addresses, and the connection uses the checked address,
so that a second lookup cannot return a different one. `policy` decides what is allowed.
"""

from __future__ import annotations

import asyncio
import socket
from typing import TYPE_CHECKING

import psutil

from tunnelkeeper.core.connect_error import ConnectError, Reason
from tunnelkeeper.core.forward_spec import TcpAddress, UnixAddress
from tunnelkeeper.forwarding.connect_target import connect_endpoint
from tunnelkeeper.forwarding.counted_socket import CountedSocket
from tunnelkeeper.net.error_text import os_error_text
from tunnelkeeper.net.local_addresses import is_local
from tunnelkeeper.relay import addresses, policy

if TYPE_CHECKING:
    from tunnelkeeper.relay.config import RelayConfiguration
    from tunnelkeeper.relay.key_options import KeyOptions
    from tunnelkeeper.relay.registry import Registry
    from tunnelkeeper.relay.resolver import Resolver

ADDRESS_TIMEOUT = 10.0
"""Seconds per address of a host with several; the client waits for all attempts together."""

MAX_ADDRESSES = 4

_INTERNET = frozenset({socket.AF_INET, socket.AF_INET6})


async def open_tcp(
    host: str,
    port: int,
    configuration: RelayConfiguration,
    options: KeyOptions,
    registry: Registry,
    resolver: Resolver,
) -> CountedSocket:
    """Connect to a host, as the client wrote it.

    Raises ConnectError.
    """
    permits = configuration.permit_open
    ensure_allowed(policy.check_open(host, port, (), permits, options))
    resolved = await resolver.addresses_of(host)
    bound, own = registry.bound(port), own_addresses(resolved)
    refusals = {
        address: policy.check_open(host, port, (address,), permits, options, bound, own)
        for address in resolved
    }
    allowed = [address for address, refusal in refusals.items() if refusal is None]
    if not allowed:
        ensure_allowed(next(iter(refusals.values()), policy.Refusal(f"{host} has no address")))
    return await _connect_first(allowed[:MAX_ADDRESSES], port)


async def open_path(
    path: str, configuration: RelayConfiguration, options: KeyOptions
) -> CountedSocket:
    """Connect to a Unix socket.

    Raises ConnectError.
    """
    folder = configuration.unix_socket_dir
    ensure_allowed(policy.check_open_path(path, folder, configuration.permit_open, options))
    ensure_allowed(policy.check_symlinks(path, folder))
    endpoint = CountedSocket()
    await connect_endpoint(UnixAddress(path), endpoint)
    return endpoint


def ensure_allowed(refusal: policy.Refusal | None) -> None:
    """Raise ConnectError for a refusal; do nothing for None."""
    if refusal is not None:
        raise ConnectError(Reason.NOT_PERMITTED, str(refusal))


def interface_addresses() -> list[str]:
    """Return the current addresses of this machine's interfaces, without zones."""
    return [
        resolved.address.partition("%")[0]
        for interface in psutil.net_if_addrs().values()
        for resolved in interface
        if resolved.family in _INTERNET
    ]


def own_addresses(resolved: list[str]) -> list[str]:
    """Return the addresses of the interfaces, and those of `resolved` that are local as well.

    Raises ConnectError.
    """
    try:
        reached = {
            str(reached)
            for text in resolved
            for reached in addresses.reached_addresses(addresses.parse(text))
        }
        return [*interface_addresses(), *filter(is_local, reached)]
    except OSError as error:
        message = f"cannot find out which addresses are the relay's own: {os_error_text(error)}"
        raise ConnectError(Reason.RESOURCE_SHORTAGE, message) from error


async def _connect_first(addresses: list[str], port: int) -> CountedSocket:
    """Connect to the first address that accepts.

    Raises the ConnectError of the last attempt.
    """
    failure: ConnectError | None = None
    for address in addresses:
        endpoint = CountedSocket()
        timeout = ADDRESS_TIMEOUT if len(addresses) > 1 else None
        try:
            async with asyncio.timeout(timeout):
                await connect_endpoint(TcpAddress(address, port), endpoint)
        except ConnectError as refusal:
            failure = refusal
        except TimeoutError:
            message = f"{TcpAddress(address, port)}: no answer within {timeout:.0f} s"
            failure = ConnectError(Reason.TIMED_OUT, message)
        else:
            return endpoint
    assert failure is not None  # noqa: S101  there is at least one address
    raise failure
