"""A server connection that bounds what a client sends before its login, and its key exchanges.

A client that exceeds the budget of a login is disconnected. One that asks for new keys again and
again after the login is answered later, and nothing else of it is read meanwhile. It overrides
private parts of asyncssh and rests on asyncssh 2.24.1. `core.login_budget` has the numbers.
"""

from __future__ import annotations

from asyncio import sleep
from typing import TYPE_CHECKING, Any

import asyncssh

from tunnelkeeper.core.login_budget import LoginBudget, LoginBudgetError, RekeyLimit
from tunnelkeeper.ssh.negotiation import process_kexinit
from tunnelkeeper.ssh.transport import BaseTransport

if TYPE_CHECKING:
    from asyncssh.packet import SSHPacket

    from tunnelkeeper.net.stream_transport import BufferList


class TooMuchBeforeLoginError(asyncssh.ProtocolError):
    """Raised when a client has sent more than a login needs; the text is sent to it."""


class BoundedLoginTransport(BaseTransport):
    """A connection to a client.

    Attributes:
        login_budget: What the client may still send before its login.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.login_budget = LoginBudget.for_tries(0)
        self._rekey_limit = RekeyLimit(self.scheduler.clock())
        self._received_since_rekey = 0

    @property
    def is_logging_in(self) -> bool:
        """Whether the client has not logged in, and shares the time that is kept for logins."""
        return not self._auth_complete

    def data_received(self, data: bytes | BufferList, datatype: Any = None) -> None:
        """Process data from the client, and count it."""
        self._received_since_rekey += len(data)
        super().data_received(data, datatype)

    def _recv_pkthdr(self) -> bool:
        if not super()._recv_pkthdr():
            return False
        if not self._auth_complete:
            try:
                self.login_budget.spend_packet(self._pktlen)
            except LoginBudgetError as error:
                raise TooMuchBeforeLoginError(str(error)) from None
        return True

    def process_kexinit(self, pkttype: int, pktid: int, packet: SSHPacket) -> Any:
        """Handle a KEXINIT: refuse a second one before the login, and delay frequent ones later."""
        if not self._auth_complete:
            try:
                self.login_budget.spend_key_exchange()
            except LoginBudgetError as error:
                raise TooMuchBeforeLoginError(str(error)) from None
            return process_kexinit(self, pkttype, pktid, packet)
        self._rekey_limit.add_bytes(self._received_since_rekey + self._rekey_bytes_sent)
        self._received_since_rekey = 0
        delay = self._rekey_limit.delay(self.scheduler.clock())
        return self._process_kexinit_after(delay, pkttype, pktid, packet)

    async def _process_kexinit_after(
        self, delay: float, pkttype: int, pktid: int, packet: SSHPacket
    ) -> None:
        if delay:
            await sleep(delay)
        if self._transport is not None:
            await process_kexinit(self, pkttype, pktid, packet)
