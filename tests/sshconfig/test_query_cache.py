import asyncio
from collections.abc import Awaitable

import pytest

from tunnelkeeper.sshconfig import Answer, Request, SshConfigError
from tunnelkeeper.sshconfig.query_cache import MAX_AGE, CachedQuery

RELAY = Request("relay")

pytestmark = pytest.mark.timeout(10)


class SlowQuery:
    """A query that blocks until released, and counts its runs."""

    def __init__(self) -> None:
        self.received: list[Request] = []
        self.runs = asyncio.Semaphore(0)
        self.may_answer = asyncio.Event()
        self.error: SshConfigError | None = None

    async def __call__(self, request: Request) -> Answer:
        self.received.append(request)
        self.runs.release()
        await self.may_answer.wait()
        if self.error is not None:
            raise self.error
        return {"run": [str(len(self.received))]}


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


async def outcome(answer: Awaitable[Answer]) -> Answer | str:
    try:
        return await answer
    except SshConfigError as error:
        return f"{error.message}/{error.hint}/{error.temporary}"


async def test_equal_concurrent_requests_share_one_run() -> None:
    slow_query = SlowQuery()
    cached_query = CachedQuery(slow_query, Clock())
    async with asyncio.TaskGroup() as tasks:
        requests = [tasks.create_task(cached_query(RELAY)) for _ in range(3)]
        await slow_query.runs.acquire()
        slow_query.may_answer.set()

    assert [task.result() for task in requests] == [{"run": ["1"]}] * 3
    assert slow_query.received == [RELAY]


async def test_different_requests_run_concurrently() -> None:
    slow_query = SlowQuery()
    cached_query = CachedQuery(slow_query, Clock())
    other_request = Request("relay", user="ann")
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(cached_query(RELAY))
        tasks.create_task(cached_query(other_request))
        await slow_query.runs.acquire()
        await slow_query.runs.acquire()
        slow_query.may_answer.set()

    assert slow_query.received == [RELAY, other_request]


async def test_an_answer_is_reused_until_its_maximum_age() -> None:
    slow_query, clock = SlowQuery(), Clock()
    slow_query.may_answer.set()
    cached_query = CachedQuery(slow_query, clock)

    assert await cached_query(RELAY) == {"run": ["1"]}
    clock.now += MAX_AGE - 0.1
    assert await cached_query(RELAY) == {"run": ["1"]}
    clock.now += 0.1
    assert await cached_query(RELAY) == {"run": ["2"]}


async def test_an_error_reaches_all_waiters_and_is_not_cached() -> None:
    slow_query = SlowQuery()
    slow_query.error = SshConfigError("no", "hint", temporary=True)
    cached_query = CachedQuery(slow_query, Clock())
    async with asyncio.TaskGroup() as tasks:
        requests = [tasks.create_task(outcome(cached_query(RELAY))) for _ in range(2)]
        await slow_query.runs.acquire()
        slow_query.may_answer.set()

    assert [task.result() for task in requests] == ["no/hint/True"] * 2
    slow_query.error = None
    assert await cached_query(RELAY) == {"run": ["2"]}


async def test_the_next_waiter_runs_the_query_if_the_first_is_cancelled() -> None:
    slow_query = SlowQuery()
    cached_query = CachedQuery(slow_query, Clock())
    async with asyncio.TaskGroup() as tasks:
        first = tasks.create_task(cached_query(RELAY))
        await slow_query.runs.acquire()
        second = tasks.create_task(cached_query(RELAY))
        await asyncio.sleep(0)
        first.cancel()
        await slow_query.runs.acquire()
        slow_query.may_answer.set()

    assert first.cancelled()
    assert second.result() == {"run": ["2"]}


async def test_cancelling_a_waiter_does_not_affect_the_run() -> None:
    slow_query = SlowQuery()
    cached_query = CachedQuery(slow_query, Clock())
    async with asyncio.TaskGroup() as tasks:
        first = tasks.create_task(cached_query(RELAY))
        await slow_query.runs.acquire()
        second = tasks.create_task(cached_query(RELAY))
        await asyncio.sleep(0)
        second.cancel()
        await asyncio.wait({second})
        slow_query.may_answer.set()

    assert first.result() == {"run": ["1"]}
    assert slow_query.received == [RELAY]


async def test_an_unexpected_exception_reaches_only_the_caller_that_ran_the_query() -> None:
    class Broken(SlowQuery):
        async def __call__(self, request: Request) -> Answer:
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await CachedQuery(Broken(), Clock())(RELAY)


async def test_forgotten_answers_are_asked_for_again() -> None:
    slow_query = SlowQuery()
    slow_query.may_answer.set()
    cached_query = CachedQuery(slow_query, Clock())
    await cached_query(RELAY)

    cached_query.forget()

    assert await cached_query(RELAY) == {"run": ["2"]}


async def test_the_answer_of_a_query_that_was_running_is_not_cached_when_forgotten() -> None:
    slow_query = SlowQuery()
    cached_query = CachedQuery(slow_query, Clock())
    async with asyncio.TaskGroup() as tasks:
        before = tasks.create_task(cached_query(RELAY))
        await slow_query.runs.acquire()
        cached_query.forget()
        after = tasks.create_task(cached_query(RELAY))
        await slow_query.runs.acquire()
        slow_query.may_answer.set()

    assert len(slow_query.received) == 2
    assert before.done()
    assert await cached_query(RELAY) == after.result()
