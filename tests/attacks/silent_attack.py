"""Connections that are opened and then say nothing."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING

from tests.attacks.attack import Attack
from tests.attacks.victim import HOST

if TYPE_CHECKING:
    from tests.attacks.victim import Victim

CONNECTIONS = 300


async def open_silent_connections(victim: Victim, seconds: float = 5.0) -> None:
    """Keep many connections to the relay open, and replace each that the relay closes."""
    with suppress(TimeoutError):
        async with asyncio.timeout(seconds), asyncio.TaskGroup() as tasks:
            for _ in range(CONNECTIONS):
                tasks.create_task(_stay_silent(victim))


async def _stay_silent(victim: Victim) -> None:
    while True:
        try:
            reader, writer = await asyncio.open_connection(HOST, victim.port)
        except OSError:
            await asyncio.sleep(0.1)
            continue
        try:
            while await reader.read(4096):
                pass
        except OSError:
            pass
        finally:
            writer.close()
        await asyncio.sleep(0.1)


ATTACKS = [Attack("300 silent connections", open_silent_connections)]
