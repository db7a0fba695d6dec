"""Calls that block, in threads, one of a kind at a time."""

from __future__ import annotations

import asyncio
import threading

import pytest

from tests.ssh.waiting import DEADLINE
from tunnelkeeper.ssh.auth.serial_executor import SerialExecutor


async def test_a_call_gives_what_it_returned_or_raised() -> None:
    aside = SerialExecutor()

    assert await aside.call("one", lambda: 7) == 7
    with pytest.raises(ZeroDivisionError):
        await aside.call("one", lambda: 1 // 0)
    assert await aside.call("one", lambda: 8) == 8


async def test_the_loop_and_calls_of_other_kinds_go_on_beside_one_that_hangs() -> None:
    aside, goes_on = SerialExecutor(), threading.Event()
    async with asyncio.timeout(DEADLINE), asyncio.TaskGroup() as tasks:
        hangs = tasks.create_task(aside.call("a", lambda: goes_on.wait(DEADLINE)))
        assert await aside.call("b", lambda: "other")
        assert not hangs.done()
        goes_on.set()


async def test_whoever_gives_up_lets_nobody_else_in_before_the_call_is_over() -> None:
    aside, goes_on, begun = SerialExecutor(), threading.Event(), asyncio.Event()
    loop = asyncio.get_running_loop()

    def hang() -> str:
        loop.call_soon_threadsafe(begun.set)
        goes_on.wait(DEADLINE)
        raise OSError("nobody hears of it")

    async with asyncio.timeout(DEADLINE), asyncio.TaskGroup() as tasks:
        first = tasks.create_task(aside.call("a", hang))
        await begun.wait()
        first.cancel()
        second = tasks.create_task(aside.call("a", goes_on.is_set))
        await asyncio.wait([first])
        assert not second.done()
        goes_on.set()

    assert second.result(), "it began while the first was still there"


async def test_a_thread_that_cannot_be_had_keeps_the_next_from_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def refuse(*_: object) -> None:
        raise RuntimeError("can't start new thread")

    aside = SerialExecutor()
    with monkeypatch.context() as patched:
        patched.setattr(asyncio.get_running_loop(), "run_in_executor", refuse)
        with pytest.raises(RuntimeError):
            await aside.call("a", lambda: None)

    async with asyncio.timeout(DEADLINE):
        assert await aside.call("a", lambda: "next") == "next"
