"""Runs one end-to-end check through an SSH connection. core.health_checks decides what it means.

The check uses a channel of its own and no local port. Its traffic is not counted, because the
counters are those of clients.
"""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from tunnelkeeper.core.connect_error import ConnectError, Reason
from tunnelkeeper.core.health_checks import CheckFailed, CheckImpossible
from tunnelkeeper.core.probes import (
    MAX_RESPONSE,
    HttpProbe,
    NotHttpError,
    is_success,
    parse_status,
    target_of_probe,
)
from tunnelkeeper.core.text import printable
from tunnelkeeper.forwarding.gate import wait_for_channel
from tunnelkeeper.forwarding.pump import ChannelEndpoint, Counters, PauseReason

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from tunnelkeeper.core.connect_error import OnError
    from tunnelkeeper.core.forward_spec import Address
    from tunnelkeeper.core.health_checks import Check
    from tunnelkeeper.core.probes import Probe
    from tunnelkeeper.forwarding.gate import ChannelOpener
    from tunnelkeeper.forwarding.remote_clients import RemoteClients

_TARGET_HINT = "is the target running, and can the server reach it?"
_FORBIDDEN_HINT = "AllowTcpForwarding or PermitOpen in sshd_config may forbid it"
_RETURN_HINT = "the server's listener may be dead, or another program's"


async def check_local_forward(
    opener: ChannelOpener, own_target: Address | None, check: Check
) -> CheckFailed | CheckImpossible | None:
    """Check a local or SOCKS forward by connecting to its target. Return None if it works."""
    target = target_of_probe(check.probe, own_target)
    step = f"no connection to {target}"
    try:
        async with asyncio.timeout(check.timeout), _opened(opener, target, check.probe) as exchange:
            step = f"no HTTP answer from {target}"
            return await exchange.read_result(str(target))
    except TimeoutError:
        return CheckFailed(f"{step} within {check.timeout:g} s", _TARGET_HINT)
    except ConnectError as error:
        is_forbidden = error.reason is Reason.NOT_PERMITTED
        hint = _FORBIDDEN_HINT if is_forbidden else _TARGET_HINT
        return CheckFailed(f"{target}: {error}", hint, keeps_connection=is_forbidden)


async def check_remote_forward(
    opener: ChannelOpener, listening: Address, clients: RemoteClients, check: Check
) -> CheckFailed | CheckImpossible | None:
    """Check a remote forward by connecting to its port on the server. Return None if it works.

    The connection must come back here. listening: the address of the server's listener, as the
    server itself can connect to it.
    """
    arrival = clients.expect_check_channel()
    step = f"a connection to {listening} on the server did not come back here"
    try:
        async with (
            asyncio.timeout(check.timeout),
            _opened(opener, listening, check.probe) as exchange,
        ):
            failure = await exchange.wait_for_return(arrival)
            if failure is not None:
                return failure
            step = "it came back here, but no HTTP answer"
            return await exchange.read_result("the target")
    except TimeoutError:
        return CheckFailed(f"{step} within {check.timeout:g} s", _RETURN_HINT)
    except ConnectError as error:
        if error.reason is Reason.NOT_PERMITTED:
            message = f"the server does not let us connect to its own {listening}: {error}"
            return CheckImpossible(message)
        if error.reason is Reason.REFUSED:
            message = f"nothing listens on {listening} of the server: {error}"
        else:
            message = f"the server cannot connect to its own {listening}: {error}"
        return CheckFailed(message, _RETURN_HINT)
    finally:
        clients.stop_expecting()


@asynccontextmanager
async def _opened(opener: ChannelOpener, target: Address, probe: Probe) -> AsyncIterator[_Exchange]:
    """Open a channel for a check and send the request, if the probe has one.

    Raises ConnectError.
    """
    exchange = _Exchange(probe)

    def open_channel(end: ChannelEndpoint, on_error: OnError) -> None:
        opener.open_channel(target, end, ("", 0), on_error)

    channel = await wait_for_channel(open_channel, Counters())
    exchange.start(channel)
    channel.resume_reading(PauseReason.NO_PEER)
    try:
        yield exchange
    finally:
        channel.close()


class _Exchange:
    """The request and answer of a check. It is the peer of the check's channel."""

    def __init__(self, probe: Probe) -> None:
        self._probe = probe
        self._answer = bytearray()
        self._is_closed = False
        self._changed = asyncio.Event()

    def start(self, channel: ChannelEndpoint) -> None:
        """Send the request, if the probe has one."""
        channel.peer = self
        if isinstance(self._probe, HttpProbe):
            channel.write(self._probe.request)

    async def read_result(self, target: str) -> CheckFailed | None:
        """Wait for the answer and return what is wrong with it. A TCP probe needs no answer."""
        if not isinstance(self._probe, HttpProbe):
            return None
        try:
            while (status := parse_status(bytes(self._answer))) is None:
                if self._is_closed:
                    return CheckFailed(f"{target} closed without an HTTP answer", _TARGET_HINT)
                await self._wait_for_change()
        except NotHttpError as error:
            return CheckFailed(f"{target}: {error}", "is it an HTTP server? Else use the check tcp")
        if is_success(status):
            return None
        message = f"{target} answered {self._probe.path} with the HTTP status {status}"
        return CheckFailed(printable(message), "2xx and 3xx would be good")

    async def wait_for_return(self, arrival: asyncio.Future[str]) -> CheckFailed | None:
        """Wait for the connection to come back. Return None if its target is connected."""
        arrival.add_done_callback(lambda _: self._changed.set())
        while not arrival.done():
            if self._answer:
                return CheckFailed("another program answers on the server's port", _RETURN_HINT)
            if self._is_closed:
                message = "the server closed the connection instead of passing it on to here"
                return CheckFailed(message, _RETURN_HINT)
            await self._wait_for_change()
        if message := arrival.result():
            text = f"it came back here, but the target refused: {message}"
            return CheckFailed(text, keeps_connection=True)
        return None

    async def _wait_for_change(self) -> None:
        self._changed.clear()
        await self._changed.wait()

    # -- forwarding.pump.Peer ----------------------------------------------------------------

    def write(self, data: bytes) -> None:
        """Keep the answer up to MAX_RESPONSE."""
        self._answer += data[: MAX_RESPONSE - len(self._answer)]
        self._changed.set()

    def write_eof(self) -> None:
        """Mark the answer as complete."""
        self._is_closed = True
        self._changed.set()

    def pause_reading(self, reason: PauseReason) -> None:
        """Do nothing: the request is all that is sent."""

    def resume_reading(self, reason: PauseReason) -> None:
        """Do nothing: the request is all that is sent."""

    def close(self) -> None:
        """Mark the answer as complete."""
        self.write_eof()

    abort = close
