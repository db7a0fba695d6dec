"""Lookups that wait for a dead name server or a Match exec: they delay no other lookup."""

from __future__ import annotations

import asyncio
import shlex
from typing import TYPE_CHECKING

import pytest

from tests.fake_clock import LONGER_THAN_ANY_STALL
from tests.ssh.waiting import until
from tunnelkeeper.sshconfig import Request, SshConfigError, SshQuery, ssh_g
from tunnelkeeper.sshconfig.ssh_g import MAX_CONCURRENT

if TYPE_CHECKING:
    from pathlib import Path

CROWD = 40
"""Many more than run at the same time."""


@pytest.fixture
def program(tmp_path: Path) -> str:
    """Return a fake ssh that waits for ever for hosts named slow, and records its start."""
    path = tmp_path / "ssh"
    started = shlex.quote(str(tmp_path / "started"))
    path.write_text(
        f'#!/bin/sh\nfor host; do :; done\necho "$host" >> {started}\n'
        'case $host in slow*) exec sleep 600 ;; esac\necho "hostname $host"\n'
    )
    path.chmod(0o700)
    return str(path)


def started(folder: Path) -> list[str]:
    path = folder / "started"
    return path.read_text().split() if path.exists() else []


async def test_a_crowd_of_slow_lookups_delays_no_fast_one(program: str, tmp_path: Path) -> None:
    query = SshQuery(program, timeout=600)
    async with asyncio.TaskGroup() as tasks:
        slow = [
            tasks.create_task(query(Request(f"slow{number}", source=False)))
            for number in range(CROWD)
        ]
        assert await query(Request("fast", source=False)) == {"hostname": ["fast"]}

        await until(lambda: len(started(tmp_path)) == CROWD + 1)
        assert not any(task.done() for task in slow)
        for task in slow:
            task.cancel()


async def test_a_host_that_was_slow_waits_behind_slow_ones_only(
    program: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = SshQuery(program, timeout=0.15)
    requests = [Request(f"slow{number}", source=False) for number in range(CROWD)]
    outcomes = await asyncio.gather(*map(first, requests), return_exceptions=True)
    assert all(isinstance(outcome, SshConfigError) for outcome in outcomes)
    assert first._slow == {*requests}
    (tmp_path / "started").unlink()

    monkeypatch.setattr(ssh_g, "PATIENCE", LONGER_THAN_ANY_STALL)
    query = SshQuery(program, timeout=600)
    query._slow |= first._slow
    async with asyncio.TaskGroup() as tasks:
        again = [tasks.create_task(query(request)) for request in requests]
        await asyncio.sleep(0)
        assert await query(Request("fast", source=False)) == {"hostname": ["fast"]}
        await until(lambda: len(started(tmp_path)) == MAX_CONCURRENT + 1)
        for task in again:
            task.cancel()


async def test_a_host_that_is_fast_again_is_no_longer_slow(program: str) -> None:
    query, request = SshQuery(program), Request("fast", source=False)
    query._slow.add(request)

    await query(request)

    assert not query._slow
