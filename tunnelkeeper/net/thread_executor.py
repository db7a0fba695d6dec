"""Threads for calls that block and cannot be interrupted, such as getaddrinfo(3) and file reads.

Nothing here can stop a call: a cancelled caller stops waiting, and the thread runs on.
"""

from __future__ import annotations

import asyncio
import errno
import sys
import threading
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

from tunnelkeeper.net.out_of_memory import end_if_out_of_memory

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable

READ_TIMEOUT = 5.0
"""Seconds after which a file counts as unreadable for now. Its reading continues."""

SWITCH_INTERVAL = 0.0001
"""Seconds for which a thread that parses may keep the event loop waiting for the interpreter. The
loop waits several times for each round trip; with Python's 5 ms, a round trip of 0.3 ms takes 8."""

P = ParamSpec("P")
T = TypeVar("T")


class DaemonThreads(ThreadPoolExecutor):
    """An executor that starts one daemon thread for each call.

    In a pool of fixed size, a few lookups without an answer would block all other calls, and the
    program could not exit before they end. It subclasses ThreadPoolExecutor because
    `loop.set_default_executor` accepts nothing else.
    """

    def submit(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        """Call a function in a new thread. Raises OSError (EAGAIN) if none can be started."""
        future: Future[T] = Future()
        thread = threading.Thread(
            target=_run, args=(future, fn, args, kwargs), name="blocking call", daemon=True
        )
        try:
            thread.start()
        except RuntimeError as error:  # of pthread_create(3), which gives no errno
            raise OSError(errno.EAGAIN, "no other thread can be started") from error
        return future

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Do nothing: the threads end with their calls, or with the program."""


def use_daemon_threads(loop: asyncio.AbstractEventLoop) -> None:
    """Make DaemonThreads the default executor of a loop, with threads that do not delay it."""
    loop.set_default_executor(DaemonThreads())
    sys.setswitchinterval(SWITCH_INTERVAL)


def _run(
    future: Future[T], fn: Callable[..., T], args: tuple[Any, ...], kwargs: dict[str, Any]
) -> None:
    if not future.set_running_or_notify_cancel():
        return
    try:
        future.set_result(fn(*args, **kwargs))
    except BaseException as error:  # noqa: BLE001  the future's reader handles it
        end_if_out_of_memory()
        future.set_exception(error)


@dataclass(slots=True)
class _Queue:
    """The calls with one key. calls: those that run or wait."""

    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    calls: int = 0


@dataclass(slots=True)
class SerialExecutor:
    """Runs calls in the event loop's default executor; calls with the same key run one at a time.

    Cancelling the caller does not stop the call, and the next call with its key still queues
    behind it. So a disk that hangs blocks one thread, not one for each attempt.
    """

    _queues: dict[Hashable, _Queue] = field(default_factory=dict)

    def __len__(self) -> int:
        """Return the number of keys that have a call."""
        return len(self._queues)

    async def call(self, key: Hashable, function: Callable[[], T]) -> T:
        """Call a function after all earlier calls with the same key; return its result.

        Raises what the function raises.
        """
        queue = self._queues.setdefault(key, _Queue())
        queue.calls += 1
        try:
            await queue.lock.acquire()
            try:
                done = asyncio.get_running_loop().run_in_executor(None, function)
            except BaseException:
                queue.lock.release()
                raise
        except BaseException:
            self._leave(key, queue)
            raise

        def release(done: asyncio.Future[T]) -> None:
            queue.lock.release()
            self._leave(key, queue)
            # asyncio logs an exception that is not retrieved. A cancelled caller does not.
            if not done.cancelled():
                done.exception()

        done.add_done_callback(release)
        return await asyncio.shield(done)

    def _leave(self, key: Hashable, queue: _Queue) -> None:
        queue.calls -= 1
        if not queue.calls:
            del self._queues[key]

    async def read(self, key: Hashable, function: Callable[[], T]) -> T:
        """Call a function that reads files, and wait READ_TIMEOUT for it.

        Raises OSError (ETIMEDOUT) when the time is over, and what the function raises.
        """
        try:
            async with asyncio.timeout(READ_TIMEOUT) as limit:
                return await self.call(key, function)
        except TimeoutError:
            if not limit.expired():
                raise
            message = f"not read within {READ_TIMEOUT:g} s; its file system may hang"
            raise OSError(errno.ETIMEDOUT, message) from None
