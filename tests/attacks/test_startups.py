"""Clients that flood the relay before or after their login neither end nor refuse an honest one."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from tests.attacks.honest_client import LOGIN_PATIENCE, HonestClient
from tests.attacks.startups_attack import (
    exchange_keys,
    flood_after_login,
    flood_before_login,
    open_half,
    rekey_after_login,
)
from tests.attacks.victim import start_victim

if TYPE_CHECKING:
    from tests.e2e.sandbox import Sandbox


FLOODS = (flood_before_login, flood_after_login, exchange_keys, rekey_after_login, open_half)


async def test_an_honest_client_stays_and_logs_in_during_each_flood(sandbox: Sandbox) -> None:
    victim = start_victim(sandbox)
    with HonestClient(victim) as honest:
        for flood in FLOODS:
            async with asyncio.TaskGroup() as tasks:
                attack = tasks.create_task(flood(victim, seconds=2 * LOGIN_PATIENCE))
                await honest.log_in()
                attack.cancel()
            assert honest.measure().count > 0, flood.__name__
