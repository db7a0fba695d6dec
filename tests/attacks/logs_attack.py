"""A client that makes the relay log as much as it can."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING

import asyncssh

from tests.attacks.attack import Attack

if TYPE_CHECKING:
    from tests.attacks.victim import Victim

AT_ONCE = 100


async def open_what_is_refused(victim: Victim, seconds: float = 5.0) -> None:
    """Open channels that the relay refuses, and log in again when it disconnects."""
    with suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            while True:
                with suppress(asyncssh.Error, OSError):
                    async with victim.attacker() as attacker:
                        while not attacker.is_closed():
                            await asyncio.gather(
                                *(attacker.open_connection("192.0.2.1", 1) for _ in range(AT_ONCE)),
                                return_exceptions=True,
                            )
                await asyncio.sleep(0.05)


ATTACKS = [Attack("refused opens", open_what_is_refused)]
