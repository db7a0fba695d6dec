"""Large files do not stop the relay, and take a bounded amount of memory."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from tests.attacks.honest_client import HonestClient
from tests.attacks.large_inputs_attack import (
    log_in_while_a_large_file_changes,
    reload_hostile_configs,
)
from tests.attacks.victim import start_victim

if TYPE_CHECKING:
    from tests.e2e.sandbox import Sandbox

MIB = 1024 * 1024


async def test_a_hundred_thousand_keys_neither_end_nor_refuse_an_honest_client(
    sandbox: Sandbox,
) -> None:
    victim = start_victim(sandbox)
    with HonestClient(victim) as honest:
        async with victim.watched() as usage, asyncio.TaskGroup() as tasks:
            attack = tasks.create_task(log_in_while_a_large_file_changes(victim))
            await honest.log_in()
            await attack
        await honest.log_in()

        assert honest.measure().count > 0
        assert usage.memory < 400 * MIB


async def test_a_config_that_is_hard_to_parse_is_refused_and_delays_no_honest_client(
    sandbox: Sandbox,
) -> None:
    victim = start_victim(sandbox)
    with HonestClient(victim) as honest:
        async with victim.watched() as usage, asyncio.TaskGroup() as tasks:
            attack = tasks.create_task(reload_hostile_configs(victim))
            await honest.log_in()
            printed = await attack

        assert [text.splitlines()[0].split(": ", 1)[1] for text in printed] == [
            "a key has more than 32 parts",
            "brackets are nested too deeply",
            "the file has more than 200000 keys and values",
            "key0: unknown key",
        ]
        assert all(len(text) < 100_000 for text in printed)
        assert honest.measure().count > 0
        assert usage.memory < 400 * MIB
