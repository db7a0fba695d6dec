"""One key that opens as many channels and listeners as it can."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack, suppress
from typing import TYPE_CHECKING

import asyncssh
import psutil

from tests.attacks.attack import Attack
from tests.attacks.victim import HOST

if TYPE_CHECKING:
    from tests.attacks.victim import Victim

CONNECTIONS = 4
LISTENERS = 20


async def exhaust_descriptors(
    victim: Victim, limit: int, reasons: list[str], seconds: float = 5.0
) -> None:
    """Open channels and listeners and keep them open, in a relay with a limit of descriptors.

    reasons: gets the code and the text for each refused channel.
    """
    victim.process.rlimit(psutil.RLIMIT_NOFILE, (limit, limit))
    with suppress(TimeoutError):
        async with asyncio.timeout(seconds), AsyncExitStack() as stack:
            clients = [
                await stack.enter_async_context(victim.attacker()) for _ in range(CONNECTIONS)
            ]
            attempts = [client for client in clients for _ in range(limit // 3)]
            await asyncio.gather(*(_open_channel(client, victim, reasons) for client in attempts))
            await asyncio.gather(*(_listen(client) for client in clients))
            while True:  # whatever becomes free is taken again
                await asyncio.gather(
                    *(_open_channel(client, victim, reasons) for client in clients)
                )
                await asyncio.sleep(0.05)


async def _open_channel(
    client: asyncssh.SSHClientConnection, victim: Victim, reasons: list[str]
) -> None:
    try:
        await client.create_connection(asyncssh.SSHTCPSession, HOST, victim.echo_port)
    except asyncssh.ChannelOpenError as error:
        reasons.append(f"{error.code}: {error.reason}")
    except (asyncssh.Error, OSError):
        pass


async def _listen(client: asyncssh.SSHClientConnection) -> None:
    for _ in range(LISTENERS):
        with suppress(asyncssh.ChannelListenError, asyncssh.Error, OSError):
            await client.create_server(lambda *_: asyncssh.SSHTCPSession(), "localhost", 0)


async def _run(victim: Victim) -> None:
    await exhaust_descriptors(victim, 1024, [])


ATTACKS = [Attack("one key exhausts 1024 descriptors", _run)]
