import asyncio
from collections.abc import Awaitable

import pytest

from tunnelkeeper.sshconfig import Answer, Request, SshConfigError
from tunnelkeeper.sshconfig.query_cache import MAX_AGE, CachedQuery

RELAY = Request("relay")

pytestmark = pytest.mark.timeout(10)


class SlowQuery:
    """A query that answers when it is let to, and counts how often it was asked."""

    def __init__(self) -> None:
        self.asked: list[Request] = []
        self.runs = asyncio.Semaphore(0)
        self.may_answer = asyncio.Event()
        self.error: SshConfigError | None = None

    async def __call__(self, request: Request) -> Answer:
        self.asked.append(request)
        self.runs.release()
        await self.may_answer.wait()
        if self.error is not None:
            raise self.error
        return {"run": [str(len(self.asked))]}


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


async def test_those_who_ask_at_the_same_time_share_one_run() -> None:
    slow = SlowQuery()
    shared = CachedQuery(slow, Clock())
    async with asyncio.TaskGroup() as tasks:
        asking = [tasks.create_task(shared(RELAY)) for _ in range(3)]
        await slow.runs.acquire()
        slow.may_answer.set()

    assert [task.result() for task in asking] == [{"run": ["1"]}] * 3
    assert slow.asked == [RELAY]


async def test_other_questions_are_asked_at_once() -> None:
    slow = SlowQuery()
    shared = CachedQuery(slow, Clock())
    other = Request("relay", user="ann")
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(shared(RELAY))
        tasks.create_task(shared(other))
        await slow.runs.acquire()
        await slow.runs.acquire()
        slow.may_answer.set()

    assert slow.asked == [RELAY, other]


async def test_an_answer_is_good_for_a_moment_and_no_longer() -> None:
    slow, clock = SlowQuery(), Clock()
    slow.may_answer.set()
    shared = CachedQuery(slow, clock)

    assert await shared(RELAY) == {"run": ["1"]}
    clock.now += MAX_AGE - 0.1
    assert await shared(RELAY) == {"run": ["1"]}
    clock.now += 0.1
    assert await shared(RELAY) == {"run": ["2"]}


async def test_an_error_is_told_to_all_who_wait_and_not_kept() -> None:
    slow = SlowQuery()
    slow.error = SshConfigError("no", "hint", temporary=True)
    shared = CachedQuery(slow, Clock())
    async with asyncio.TaskGroup() as tasks:
        asking = [tasks.create_task(outcome(shared(RELAY))) for _ in range(2)]
        await slow.runs.acquire()
        slow.may_answer.set()

    assert [task.result() for task in asking] == ["no/hint/True"] * 2
    slow.error = None
    assert await shared(RELAY) == {"run": ["2"]}


async def test_when_the_one_who_runs_is_cancelled_the_next_one_runs() -> None:
    slow = SlowQuery()
    shared = CachedQuery(slow, Clock())
    async with asyncio.TaskGroup() as tasks:
        first = tasks.create_task(shared(RELAY))
        await slow.runs.acquire()
        second = tasks.create_task(shared(RELAY))
        await asyncio.sleep(0)
        first.cancel()
        await slow.runs.acquire()
        slow.may_answer.set()

    assert first.cancelled()
    assert second.result() == {"run": ["2"]}


async def test_one_who_waits_and_is_cancelled_disturbs_nobody() -> None:
    slow = SlowQuery()
    shared = CachedQuery(slow, Clock())
    async with asyncio.TaskGroup() as tasks:
        first = tasks.create_task(shared(RELAY))
        await slow.runs.acquire()
        second = tasks.create_task(shared(RELAY))
        await asyncio.sleep(0)
        second.cancel()
        await asyncio.wait({second})
        slow.may_answer.set()

    assert first.result() == {"run": ["1"]}
    assert slow.asked == [RELAY]


async def test_another_exception_goes_to_the_one_who_ran_it() -> None:
    class Broken(SlowQuery):
        async def __call__(self, request: Request) -> Answer:
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await CachedQuery(Broken(), Clock())(RELAY)
