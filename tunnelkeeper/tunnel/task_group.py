"""A task group whose tasks fail alone: a fault in serving one client must not end a tunnel."""

from __future__ import annotations

import asyncio
import logging
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from collections.abc import Coroutine, Generator, Iterator
    from contextvars import Context

T = TypeVar("T")

log = logging.getLogger(__name__)


class IsolatedTaskGroup(asyncio.TaskGroup):
    """Like TaskGroup, but an exception that nobody foresaw is logged and ends its task only."""

    def create_task(
        self,
        coro: Generator[Any, None, T] | Coroutine[Any, Any, T],
        *,
        name: str | None = None,
        context: Context | None = None,
    ) -> asyncio.Task[T]:
        """Start a task of this group. Its result is that of the coroutine, None after a fault."""
        task = super().create_task(_log_exceptions(coro), name=name, context=context)
        # A task that is cancelled before its first step never awaits what it was given.
        task.add_done_callback(lambda _: coro.close())
        return task


@contextmanager
def unwrap_exception_groups() -> Iterator[None]:
    """Let a single exception out as it is: a task group wraps even what its own body raises."""
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
        log.exception("an internal fault; please report it")
        return None  # type: ignore[return-value]
