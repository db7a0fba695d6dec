"""Connections that say nothing do not keep an honest client out."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from tests.attacks.honest_client import LOGIN_PATIENCE, HonestClient
from tests.attacks.silent_attack import open_silent_connections
from tests.attacks.victim import start_victim

if TYPE_CHECKING:
    from tests.e2e.sandbox import Sandbox


async def test_silent_connections_neither_end_nor_refuse_an_honest_client(
    sandbox: Sandbox,
) -> None:
    victim = start_victim(sandbox)
    with HonestClient(victim) as honest:
        async with victim.watched() as usage, asyncio.TaskGroup() as tasks:
            attack = tasks.create_task(open_silent_connections(victim, seconds=2 * LOGIN_PATIENCE))
            await honest.log_in()
            attack.cancel()

        assert honest.measure().count > 0
        assert usage.descriptors < 250
