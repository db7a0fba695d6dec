"""An event loop in a thread, for what must go on beside a test that blocks."""

from __future__ import annotations

import asyncio
from concurrent.futures import Future
from threading import Thread
from typing import TYPE_CHECKING, Self, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractAsyncContextManager
    from types import TracebackType

T = TypeVar("T")

DEADLINE = 20.0
"""Seconds that anything asked of the loop may take."""


class Background:
    """Runs asynchronous servers until it is closed; commands reach them through it.

    Its thread belongs to the network namespace that it was made in.
    """

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._closing = asyncio.Event()
        self._thread = Thread(target=self._run)
        self._contexts: list[tuple[asyncio.Event, Future[None]]] = []

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        try:
            for closing, done in reversed(self._contexts):
                self._loop.call_soon_threadsafe(closing.set)
                done.result(DEADLINE)
        finally:
            self._loop.call_soon_threadsafe(self._closing.set)
            self._thread.join()

    def _run(self) -> None:
        # A runner lets tasks and transports end, which loop.stop() leaves behind.
        with asyncio.Runner(loop_factory=lambda: self._loop) as runner:
            runner.run(self._closing.wait())

    def enter(self, context: AbstractAsyncContextManager[T]) -> T:
        """Enter a context in the loop; it is left when this is closed."""
        closing = asyncio.Event()
        entered: Future[T] = Future()
        held = asyncio.run_coroutine_threadsafe(_hold(context, entered, closing), self._loop)
        self._contexts.append((closing, held))
        return entered.result(DEADLINE)

    def call(self, act: Callable[[], T]) -> T:
        """Call a function in the loop; what it returned."""
        done: Future[T] = Future()
        self._loop.call_soon_threadsafe(_settle, done, act)
        return done.result(DEADLINE)


async def _hold(
    context: AbstractAsyncContextManager[T], entered: Future[T], closing: asyncio.Event
) -> None:
    """Enter and leave a context in one task, as task groups want it."""
    try:
        async with context as value:
            entered.set_result(value)
            await closing.wait()
    except BaseException as error:
        if not entered.done():
            entered.set_exception(error)
        raise


def _settle(done: Future[T], act: Callable[[], T]) -> None:
    try:
        done.set_result(act())
    except BaseException as error:  # noqa: BLE001  it belongs to the caller, in another thread
        done.set_exception(error)
