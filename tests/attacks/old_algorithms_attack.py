"""Clients that offer only slow or old key exchanges, again and again."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING

from tests.attacks.attack import Attack
from tests.attacks.startups_attack import connected, kexinit

if TYPE_CHECKING:
    from tests.attacks.victim import Victim

KEY_EXCHANGES = (
    b"diffie-hellman-group18-sha512",
    b"diffie-hellman-group-exchange-sha256",
    b"diffie-hellman-group14-sha1",
)
CLIENTS = 8


async def offer_old_algorithms(victim: Victim, seconds: float = 5.0) -> None:
    """Offer a key exchange that the relay does not have, and come again when it disconnects."""

    async def offer(key_exchange: bytes) -> None:
        while True:
            with suppress(OSError):
                async with connected(victim) as (reader, writer):
                    writer.write(kexinit(key_exchange))
                    while await reader.read(4096):
                        pass
            await asyncio.sleep(0.005)  # a relay that refuses this address closes at once

    with suppress(TimeoutError):
        async with asyncio.timeout(seconds), asyncio.TaskGroup() as tasks:
            for number in range(CLIENTS):
                tasks.create_task(offer(KEY_EXCHANGES[number % len(KEY_EXCHANGES)]))


ATTACKS = [Attack("offers of slow key exchanges", offer_old_algorithms)]
