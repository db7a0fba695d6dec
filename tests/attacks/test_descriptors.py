"""One client cannot take the descriptors that logins, other clients and the owner need."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from asyncssh.constants import OPEN_RESOURCE_SHORTAGE

from tests.attacks.descriptor_attack import exhaust_descriptors
from tests.attacks.honest_client import HonestClient
from tests.attacks.silent_attack import open_silent_connections
from tests.attacks.victim import start_victim
from tests.ssh.waiting import until

if TYPE_CHECKING:
    from tests.e2e.sandbox import Sandbox

LIMIT = 256
RESERVE = LIMIT // 4
REASON = "too many connections are open: this key has used its share of the descriptors"


async def test_a_key_that_takes_all_channels_leaves_logins_and_other_clients_alone(
    sandbox: Sandbox,
) -> None:
    victim, reasons = start_victim(sandbox), list[str]()
    with HonestClient(victim) as honest:
        async with victim.watched() as usage, asyncio.TaskGroup() as tasks:
            attack = tasks.create_task(exhaust_descriptors(victim, LIMIT, reasons, seconds=60))
            await until(lambda: bool(reasons))
            await honest.log_in()
            status = await asyncio.to_thread(victim.relay.status)
            reload = await asyncio.to_thread(victim.relay.run, "reload")
            attack.cancel()

        assert honest.measure().count > 0
        assert LIMIT // 4 < usage.descriptors < LIMIT - RESERVE
    assert status["refusals"]["opens"] > 0
    assert reload.returncode == 0
    assert set(reasons) == {f"{OPEN_RESOURCE_SHORTAGE}: {REASON}"}


async def test_silent_connections_leave_descriptors_for_logins_and_the_control_socket(
    sandbox: Sandbox,
) -> None:
    victim, reasons = start_victim(sandbox, limits={"max_startups": 0}), list[str]()
    with HonestClient(victim) as honest:
        async with victim.watched() as usage, asyncio.TaskGroup() as tasks:
            attack = tasks.create_task(exhaust_descriptors(victim, LIMIT, reasons, seconds=60))
            await until(lambda: bool(reasons))
            flood = tasks.create_task(open_silent_connections(victim, seconds=60))
            await honest.log_in()
            status = await asyncio.to_thread(victim.relay.status)
            flood.cancel()
            attack.cancel()

        assert honest.measure().count > 0
        assert usage.descriptors <= LIMIT - RESERVE // 4
    assert status["waiting"] > 0
