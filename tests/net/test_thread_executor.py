"""DaemonThreads never delay the program's exit; SerialExecutor runs one call per key at a time."""

from __future__ import annotations

import asyncio
import errno
import threading
from concurrent.futures import CancelledError

import pytest

from tests.fake_clock import DEADLINE
from tunnelkeeper.core.failures import EXHAUSTION_ERRNOS
from tunnelkeeper.net import thread_executor
from tunnelkeeper.net.thread_executor import DaemonThreads, SerialExecutor

# -- DaemonThreads -------------------------------------------------------------------------------


def test_a_call_returns_its_result() -> None:
    future = DaemonThreads().submit(divmod, 7, 2)

    assert future.result(DEADLINE) == (3, 1)


def test_an_exception_of_a_call_is_raised_from_its_future() -> None:
    future = DaemonThreads().submit(int, "seven")

    with pytest.raises(ValueError, match="seven"):
        future.result(DEADLINE)


def test_system_exit_ends_only_the_call_that_raises_it() -> None:
    def raise_system_exit() -> None:
        raise SystemExit(3)

    with pytest.raises(SystemExit):
        DaemonThreads().submit(raise_system_exit).result(DEADLINE)


def test_hanging_calls_block_neither_other_calls_nor_shutdown() -> None:
    threads, release = DaemonThreads(), threading.Event()
    hanging = [threads.submit(release.wait, DEADLINE) for _ in range(100)]

    assert threads.submit(len, "four").result(DEADLINE) == 4
    threads.shutdown()
    assert not any(future.done() for future in hanging)

    release.set()
    assert all(future.result(DEADLINE) for future in hanging)


def test_a_thread_that_cannot_be_started_is_an_exhausted_resource(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def refuse(_thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", refuse)

    with pytest.raises(OSError, match="no other thread") as caught:
        DaemonThreads().submit(len, "four")
    assert caught.value.errno in EXHAUSTION_ERRNOS


def test_its_threads_are_daemon_threads() -> None:
    thread = DaemonThreads().submit(threading.current_thread).result(DEADLINE)

    assert thread.daemon


def test_a_call_cancelled_before_its_thread_runs_is_not_made(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    threads_created: list[LateThread] = []

    class LateThread(threading.Thread):
        def start(self) -> None:
            threads_created.append(self)

    calls: list[str] = []
    with monkeypatch.context() as patch:
        patch.setattr(threading, "Thread", LateThread)
        future = DaemonThreads().submit(calls.append, "a call")

    assert future.cancel()
    [thread] = threads_created
    super(LateThread, thread).start()
    thread.join(DEADLINE)

    assert calls == []
    with pytest.raises(CancelledError):
        future.result(DEADLINE)


async def test_the_event_loop_accepts_it_and_can_cancel_a_call() -> None:
    loop, release = asyncio.get_running_loop(), threading.Event()
    loop.set_default_executor(DaemonThreads())
    assert await loop.run_in_executor(None, len, "four") == 4

    hanging = loop.run_in_executor(None, release.wait, DEADLINE)
    hanging.cancel()
    with pytest.raises(asyncio.CancelledError):
        await hanging

    release.set()


# -- SerialExecutor ------------------------------------------------------------------------------


async def test_a_serial_call_returns_or_raises_what_its_function_does() -> None:
    executor = SerialExecutor()

    assert await executor.call("a", lambda: 7) == 7
    with pytest.raises(ZeroDivisionError):
        await executor.call("a", lambda: 1 // 0)
    assert await executor.call("a", lambda: 8) == 8


async def test_a_hanging_call_blocks_neither_the_loop_nor_calls_with_other_keys() -> None:
    executor, release = SerialExecutor(), threading.Event()
    async with asyncio.timeout(DEADLINE), asyncio.TaskGroup() as tasks:
        hanging = tasks.create_task(executor.call("a", lambda: release.wait(DEADLINE)))
        assert await executor.call("b", lambda: "result")
        assert not hanging.done()
        release.set()


async def test_cancelling_a_caller_does_not_let_the_next_call_start_early() -> None:
    executor, release, started = SerialExecutor(), threading.Event(), asyncio.Event()
    loop = asyncio.get_running_loop()

    def hang() -> str:
        loop.call_soon_threadsafe(started.set)
        release.wait(DEADLINE)
        raise OSError("no caller is left to receive it")

    async with asyncio.timeout(DEADLINE), asyncio.TaskGroup() as tasks:
        first = tasks.create_task(executor.call("a", hang))
        await started.wait()
        first.cancel()
        second = tasks.create_task(executor.call("a", release.is_set))
        await asyncio.wait([first])
        assert not second.done()
        release.set()

    assert second.result(), "it started before the first call ended"


async def test_a_call_without_a_thread_does_not_block_the_next_call(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def refuse(*_: object) -> None:
        raise RuntimeError("can't start new thread")

    executor = SerialExecutor()
    with monkeypatch.context() as patched:
        patched.setattr(asyncio.get_running_loop(), "run_in_executor", refuse)
        with pytest.raises(RuntimeError):
            await executor.call("a", lambda: None)

    async with asyncio.timeout(DEADLINE):
        assert await executor.call("a", lambda: "next") == "next"


async def test_a_key_without_calls_is_forgotten() -> None:
    executor, release = SerialExecutor(), threading.Event()
    async with asyncio.TaskGroup() as tasks:
        hanging = tasks.create_task(executor.call("disk", release.wait))
        waiting = tasks.create_task(executor.call("disk", release.wait))
        await asyncio.sleep(0)
        assert len(executor) == 1
        waiting.cancel()
        await asyncio.sleep(0)
        assert len(executor) == 1

        release.set()
        await hanging

    assert len(executor) == 0


async def test_a_read_that_takes_too_long_is_an_error_and_delays_the_same_key_only(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(thread_executor, "READ_TIMEOUT", 0.05)
    executor, release = SerialExecutor(), threading.Event()
    try:
        for _ in range(3):
            with pytest.raises(OSError, match="not read within") as failed:
                await executor.read("disk", release.wait)
            assert failed.value.errno == errno.ETIMEDOUT
        assert await executor.read("other disk", lambda: "data") == "data"
    finally:
        release.set()


async def test_the_timeout_of_a_read_itself_is_raised_unchanged() -> None:
    def fail() -> None:
        raise TimeoutError(errno.ETIMEDOUT, "the server of the share does not answer")

    with pytest.raises(TimeoutError, match="of the share"):
        await SerialExecutor().read("disk", fail)
