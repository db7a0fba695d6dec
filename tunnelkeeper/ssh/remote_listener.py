"""A listener on the server's side, as it was asked for and as the server made it."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

import asyncssh

from tunnelkeeper.core.forward_spec import EVERY_INTERFACE, Address, TcpAddress

if TYPE_CHECKING:
    from asyncssh.listener import SSHListener

CANCEL_TIMEOUT = 5.0
"""Seconds the server may take to let a port go."""


@dataclass(frozen=True, slots=True)
class RemoteListener:
    """A port or path that the server holds for us."""

    asked: Address
    _listener: SSHListener

    @property
    def address(self) -> Address:
        """Where the server really listens: for port 0 with the port that it chose."""
        match self.asked:
            case TcpAddress(host=host, port=0):
                return TcpAddress(host, self._listener.get_port())
        return self.asked

    async def close(self) -> None:
        """Ask the server to listen no more; connections that are open stay."""
        self._listener.close()
        with suppress(TimeoutError, OSError, asyncssh.Error):
            async with asyncio.timeout(CANCEL_TIMEOUT):
                await self._listener.wait_closed()


def listen_host(host: str) -> str:
    """The address to ask a server for: "" is every interface (RFC 4254 section 7.1)."""
    return "" if host == EVERY_INTERFACE else host
