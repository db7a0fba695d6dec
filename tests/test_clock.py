"""The system clock. Tests of its users have a fake clock."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta, timezone

from tests.fake_clock import within_deadline
from tunnelkeeper.clock import SystemClock, iso


async def test_a_call_is_made_at_its_time() -> None:
    clock = SystemClock()
    called = asyncio.Event()
    due = clock.monotonic() + 0.01

    clock.call_at(due, called.set)
    async with within_deadline():
        await called.wait()

    assert clock.monotonic() >= due


async def test_an_overdue_call_is_made_in_the_next_loop_turn() -> None:
    clock = SystemClock()
    called = asyncio.Event()

    clock.call_at(clock.monotonic() - 5, called.set)
    assert not called.is_set()

    async with within_deadline():
        await called.wait()


async def test_a_cancelled_call_is_not_made() -> None:
    clock = SystemClock()
    calls: list[str] = []
    last = asyncio.Event()

    clock.call_at(clock.monotonic(), lambda: calls.append("cancelled")).cancel()
    clock.call_at(clock.monotonic() + 0.005, last.set)
    async with within_deadline():
        await last.wait()

    assert calls == []


async def test_sleep_waits_for_the_given_time() -> None:
    clock = SystemClock()
    before = clock.monotonic()

    await clock.sleep(0.005)

    assert clock.monotonic() - before >= 0.005


def test_wall_time_is_in_utc() -> None:
    assert abs(SystemClock().wall() - datetime.now(UTC)) < timedelta(seconds=5)
    assert SystemClock().wall().tzinfo is UTC


def test_iso_formats_utc_in_whole_seconds() -> None:
    cet = timezone(timedelta(hours=1))
    moment = datetime(2026, 11, 22, 13, 0, 59, 999_999, tzinfo=cet)

    assert iso(moment) == "2026-11-22T12:00:59Z"
