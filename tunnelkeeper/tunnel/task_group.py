"""A task group whose tasks fail independently: a bug with one client must not end a tunnel."""

from __future__ import annotations

import asyncio
import logging
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TypeVar

from tunnelkeeper.net.out_of_memory import end_if_out_of_memory

if TYPE_CHECKING:
    from collections.abc import Coroutine, Generator, Iterator
    from contextvars import Context

T = TypeVar("T")

log = logging.getLogger(__name__)


class IsolatedTaskGroup(asyncio.TaskGroup):
    """A TaskGroup that logs an unexpected exception of a task and lets the other tasks run."""

    def create_task(
        self,
        coro: Generator[Any, None, T] | Coroutine[Any, Any, T],
        *,
        name: str | None = None,
        context: Context | None = None,
    ) -> asyncio.Task[T]:
        """Start a task. Its result is the coroutine's, or None after an unexpected exception."""
        task = super().create_task(_log_exceptions(coro), name=name, context=context)
        # A task that is cancelled before its first step never awaits its coroutine.
        task.add_done_callback(lambda _: coro.close())
        return task


@contextmanager
def unwrap_exception_groups() -> Iterator[None]:
    """Raise a single exception without its groups: a task group wraps even those of its body."""
    try:
        yield
    except ExceptionGroup as group:
        error: Exception = group
        while isinstance(error, ExceptionGroup) and len(error.exceptions) == 1:
            error = error.exceptions[0]
    else:
        return
    raise error


async def _log_exceptions(coro: Generator[Any, None, T] | Coroutine[Any, Any, T]) -> T:
    try:
        return await coro  # type: ignore[misc,no-any-return]
    except Exception:
        end_if_out_of_memory()
        log.exception("an internal fault; please report it")
        return None  # type: ignore[return-value]
