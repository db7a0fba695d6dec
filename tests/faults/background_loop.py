"""An event loop in a thread, for asynchronous servers beside a test that blocks."""

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
"""Seconds that one call to the loop may take."""


class BackgroundLoop:
    """Runs asynchronous servers until it is closed, and functions that control them.

    Its thread stays in the network namespace in which it was started.
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
        # A runner lets tasks and transports end; loop.stop() would leave them open.
        with asyncio.Runner(loop_factory=lambda: self._loop) as runner:
            runner.run(self._closing.wait())

    def enter(self, context: AbstractAsyncContextManager[T]) -> T:
        """Enter a context in the loop until this object is closed; return its value."""
        closing = asyncio.Event()
        entered: Future[T] = Future()
        running = asyncio.run_coroutine_threadsafe(
            _run_context(context, entered, closing), self._loop
        )
        self._contexts.append((closing, running))
        return entered.result(DEADLINE)

    def call(self, function: Callable[[], T]) -> T:
        """Call a function in the loop and return its result."""
        done: Future[T] = Future()
        self._loop.call_soon_threadsafe(_set_result, done, function)
        return done.result(DEADLINE)


async def _run_context(
    context: AbstractAsyncContextManager[T], entered: Future[T], closing: asyncio.Event
) -> None:
    """Enter and leave a context in one task, as task groups require."""
    try:
        async with context as value:
            entered.set_result(value)
            await closing.wait()
    except BaseException as error:
        if not entered.done():
            entered.set_exception(error)
        raise


def _set_result(done: Future[T], function: Callable[[], T]) -> None:
    try:
        done.set_result(function())
    except BaseException as error:  # noqa: BLE001  raised in the thread of the caller
        done.set_exception(error)
