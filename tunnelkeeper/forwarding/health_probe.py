"""Carries out one end-to-end check through an SSH connection; what it means is core.health_checks'.

It uses a channel of its own and no local port, and counts nothing: what a check sends and receives
is nobody's traffic.
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

    from tunnelkeeper.core.forward_spec import Address
    from tunnelkeeper.core.health_checks import Check
    from tunnelkeeper.core.probes import Probe
    from tunnelkeeper.forwarding.gate import ChannelOpener, OnError
    from tunnelkeeper.forwarding.remote_clients import RemoteClients

_TARGET_HINT = "is the target running, and can the server reach it?"
_FORBIDDEN_HINT = "AllowTcpForwarding or PermitOpen in sshd_config may forbid it"
_RETURN_HINT = "the server's listener may be dead, or another program's"


async def check_local_forward(
    opener: ChannelOpener, own_target: Address | None, check: Check
) -> CheckFailed | CheckImpossible | None:
    """Check a local or a SOCKS forward: reach its target through the server. None: it works."""
    target = target_of_probe(check.probe, own_target)
    step = f"no connection to {target}"
    try:
        async with asyncio.timeout(check.timeout), _opened(opener, target, check.probe) as exchange:
            step = f"no HTTP answer from {target}"
            return await exchange.verdict(str(target))
    except TimeoutError:
        return CheckFailed(f"{step} within {check.timeout:g} s", _TARGET_HINT)
    except ConnectError as refusal:
        forbidden = refusal.reason is Reason.NOT_PERMITTED
        hint = _FORBIDDEN_HINT if forbidden else _TARGET_HINT
        return CheckFailed(f"{target}: {refusal}", hint, is_forbidden=forbidden)


async def check_remote_forward(
    opener: ChannelOpener, listening: Address, clients: RemoteClients, check: Check
) -> CheckFailed | CheckImpossible | None:
    """Check a remote forward: its port on the server must lead back here. None: it does.

    listening: where the server can reach its own listener.
    """
    arrival = clients.expect()
    step = f"a connection to {listening} on the server did not come back here"
    try:
        async with (
            asyncio.timeout(check.timeout),
            _opened(opener, listening, check.probe) as exchange,
        ):
            refused = await exchange.or_over(arrival)
            if refused is not None:
                return refused
            step = "it came back here, but no HTTP answer"
            return await exchange.verdict("the target")
    except TimeoutError:
        return CheckFailed(f"{step} within {check.timeout:g} s", _RETURN_HINT)
    except ConnectError as refusal:
        if refusal.reason is Reason.NOT_PERMITTED:
            words = f"the server does not let us connect to its own {listening}: {refusal}"
            return CheckImpossible(words)
        if refusal.reason is Reason.REFUSED:
            message = f"nothing listens on {listening} of the server: {refusal}"
        else:
            message = f"the server cannot connect to its own {listening}: {refusal}"
        return CheckFailed(message, _RETURN_HINT)
    finally:
        clients.expect_no_more()


@asynccontextmanager
async def _opened(opener: ChannelOpener, target: Address, probe: Probe) -> AsyncIterator[_Exchange]:
    """A channel of its own, with the request on its way.

    Raises ConnectError.
    """
    exchange = _Exchange(probe)

    def opening(end: ChannelEndpoint, refused: OnError) -> None:
        opener.open_channel(target, end, ("", 0), refused)

    channel = await wait_for_channel(opening, Counters())
    exchange.begin(channel)
    channel.resume_reading(PauseReason.NO_PEER)
    try:
        yield exchange
    finally:
        channel.close()


class _Exchange:
    """What a check says and hears: the peer of its channel, an End of forwarding.pump."""

    def __init__(self, probe: Probe) -> None:
        self._probe = probe
        self._answer = bytearray()
        self._is_over = False
        self._news = asyncio.Event()

    def begin(self, channel: ChannelEndpoint) -> None:
        """The channel is open."""
        channel.peer = self
        if isinstance(self._probe, HttpProbe):
            channel.write(self._probe.request)

    async def verdict(self, target: str) -> CheckFailed | None:
        """Whether what the target says is good; of a mere connection nothing more is asked."""
        if not isinstance(self._probe, HttpProbe):
            return None
        try:
            while (status := parse_status(bytes(self._answer))) is None:
                if self._is_over:
                    return CheckFailed(f"{target} closed without an HTTP answer", _TARGET_HINT)
                await self._next()
        except NotHttpError as error:
            return CheckFailed(f"{target}: {error}", "is it an HTTP server? Else use the check tcp")
        if is_success(status):
            return None
        words = f"{target} answered {self._probe.path} with the HTTP status {status}"
        return CheckFailed(printable(words), "2xx and 3xx would be good")

    async def or_over(self, arrival: asyncio.Future[str]) -> CheckFailed | None:
        """Wait until the check's connection has come back, and how: None is well."""
        arrival.add_done_callback(lambda _: self._news.set())
        while not arrival.done():
            if self._answer:
                return CheckFailed("another program answers on the server's port", _RETURN_HINT)
            if self._is_over:
                words = "the server closed the connection instead of passing it on to here"
                return CheckFailed(words, _RETURN_HINT)
            await self._next()
        if words := arrival.result():
            return CheckFailed(f"it came back here, but the target refused: {words}")
        return None

    async def _next(self) -> None:
        self._news.clear()
        await self._news.wait()

    # -- forwarding.pump.End -----------------------------------------------------------------

    def write(self, data: bytes) -> None:
        """Keep the beginning of the answer."""
        self._answer += data[: MAX_RESPONSE - len(self._answer)]
        self._news.set()

    def write_eof(self) -> None:
        """No more will come."""
        self._is_over = True
        self._news.set()

    def pause_reading(self, reason: PauseReason) -> None:
        """Nothing more is sent anyway."""

    def resume_reading(self, reason: PauseReason) -> None:
        """Nothing more is sent anyway."""

    def close(self) -> None:
        """Take the end of the channel for the end of the answer."""
        self.write_eof()

    abort = close
