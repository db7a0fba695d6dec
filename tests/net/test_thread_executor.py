"""Calls that block, each in a thread of its own that nobody waits for."""

from __future__ import annotations

import asyncio
import threading
from concurrent.futures import CancelledError

import pytest

from tests.fake_clock import DEADLINE
from tunnelkeeper.net.thread_executor import DaemonThreads


def test_a_call_gives_its_result() -> None:
    future = DaemonThreads().submit(divmod, 7, 2)

    assert future.result(DEADLINE) == (3, 1)


def test_a_call_gives_what_it_raises() -> None:
    future = DaemonThreads().submit(int, "seven")

    with pytest.raises(ValueError, match="seven"):
        future.result(DEADLINE)


def test_even_what_would_end_a_program_only_ends_the_call() -> None:
    def leave() -> None:
        raise SystemExit(3)

    with pytest.raises(SystemExit):
        DaemonThreads().submit(leave).result(DEADLINE)


def test_calls_that_hang_hold_up_neither_others_nor_the_end() -> None:
    threads, release = DaemonThreads(), threading.Event()
    hanging = [threads.submit(release.wait, DEADLINE) for _ in range(100)]

    assert threads.submit(len, "four").result(DEADLINE) == 4
    threads.shutdown()
    assert not any(future.done() for future in hanging)

    release.set()
    assert all(future.result(DEADLINE) for future in hanging)


def test_its_threads_do_not_keep_the_program_alive() -> None:
    thread = DaemonThreads().submit(threading.current_thread).result(DEADLINE)

    assert thread.daemon


def test_a_call_that_was_cancelled_before_it_began_is_not_made(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    late: list[LateThread] = []

    class LateThread(threading.Thread):
        def start(self) -> None:
            late.append(self)

    made: list[str] = []
    with monkeypatch.context() as patch:
        patch.setattr(threading, "Thread", LateThread)
        future = DaemonThreads().submit(made.append, "a call")

    assert future.cancel()
    [thread] = late
    super(LateThread, thread).start()
    thread.join(DEADLINE)

    assert made == []
    with pytest.raises(CancelledError):
        future.result(DEADLINE)


async def test_the_event_loop_takes_it_and_can_give_up_on_a_call() -> None:
    loop, release = asyncio.get_running_loop(), threading.Event()
    loop.set_default_executor(DaemonThreads())
    assert await loop.run_in_executor(None, len, "four") == 4

    hanging = loop.run_in_executor(None, release.wait, DEADLINE)
    hanging.cancel()
    with pytest.raises(asyncio.CancelledError):
        await hanging

    release.set()
