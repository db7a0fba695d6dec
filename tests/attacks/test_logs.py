"""A client that is refused again and again neither fills the log nor hides another's refusal."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from tests.attacks.logs_attack import open_what_is_refused
from tests.attacks.victim import start_victim
from tests.ssh.waiting import until

if TYPE_CHECKING:
    from tests.e2e.sandbox import Sandbox


async def test_refused_opens_are_logged_once_and_disconnected(sandbox: Sandbox) -> None:
    victim = start_victim(sandbox)
    log = victim.relay.directory / "relay.log"

    async with asyncio.TaskGroup() as tasks:
        attack = tasks.create_task(open_what_is_refused(victim, seconds=60))
        await until(lambda: attack.done() or "too many refused requests" in log.read_text())
        assert not attack.done()
        attack.cancel()

    (refused,) = [line for line in log.read_text().splitlines() if "open refused" in line]
    assert "127.0.0.1 'box': open refused: opening '192.0.2.1' port 1 is not permitted" in refused
