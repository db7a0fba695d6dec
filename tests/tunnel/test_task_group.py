"""Tasks that fail independently."""

from __future__ import annotations

import asyncio
import gc
import logging

import pytest

from tests.fake_clock import settle
from tunnelkeeper.tunnel.task_group import IsolatedTaskGroup, unwrap_exception_groups


async def test_a_task_returns_its_result() -> None:
    async def work() -> int:
        return 7

    async with IsolatedTaskGroup() as tasks:
        task = tasks.create_task(work(), name="work")

    assert task.result() == 7
    assert task.get_name() == "work"


async def test_an_exception_ends_only_its_task_and_is_logged(
    caplog: pytest.LogCaptureFixture,
) -> None:
    others_done = asyncio.Event()

    async def fail() -> None:
        raise RuntimeError("unexpected error")

    async with IsolatedTaskGroup() as tasks:
        failed = tasks.create_task(fail())
        tasks.create_task(others_done.wait())
        await settle()
        assert failed.done()
        assert failed.result() is None
        others_done.set()

    [record] = caplog.records
    assert record.levelno == logging.ERROR
    assert "unexpected error" in caplog.text


@pytest.mark.parametrize("turns", [0, 1, 2])
async def test_a_task_can_be_cancelled_at_any_time_without_a_warning(turns: int) -> None:
    """A coroutine cancelled before its first step was never awaited; Python would warn."""
    async with IsolatedTaskGroup() as tasks:
        task = tasks.create_task(asyncio.Event().wait())
        await settle(turns)
        task.cancel()

    assert task.cancelled()
    del task
    gc.collect()  # a warning would be raised here


async def test_a_single_exception_is_unwrapped() -> None:
    reason = OSError("the reason")

    with pytest.raises(ValueError, match="a word") as caught, unwrap_exception_groups():
        async with IsolatedTaskGroup(), asyncio.TaskGroup():
            raise ValueError("a word") from reason

    assert caught.value.__cause__ is reason


def test_several_exceptions_stay_in_a_group() -> None:
    with pytest.raises(ExceptionGroup) as caught, unwrap_exception_groups():
        raise ExceptionGroup("both", [ValueError("one"), OSError("two")])

    assert caught.group_contains(ValueError)


def test_an_exception_without_a_group_is_unchanged() -> None:
    with pytest.raises(KeyError), unwrap_exception_groups():
        raise KeyError("as it is")


async def test_an_exception_in_the_body_cancels_the_tasks() -> None:
    started: list[asyncio.Task[bool]] = []

    async def body() -> None:
        async with IsolatedTaskGroup() as tasks:
            started.append(tasks.create_task(asyncio.Event().wait()))
            raise ValueError("in the body")

    with pytest.raises(ExceptionGroup) as caught:
        await body()

    assert caught.group_contains(ValueError)
    assert started[0].cancelled()
