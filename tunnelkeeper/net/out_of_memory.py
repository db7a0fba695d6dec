"""The end of a process that gets no more memory.

After a MemoryError, any object can be half changed, and what handles the error needs memory as
well: a server that continues fails again and again, and serves no client. The process ends
at once, and its service manager restarts it (Restart= in systemd.service(5)). A handler of every
exception calls `end_if_out_of_memory` first; tests/test_out_of_memory.py finds those that do not.
"""

from __future__ import annotations

import os
import sys
import threading
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from tunnelkeeper.core.exit_codes import ExitCode

if TYPE_CHECKING:
    import asyncio

MESSAGE = "tunnelkeeper: out of memory: the process ends, so that its service manager restarts it"

_line = f"{MESSAGE}\n".encode()  # made before it is needed: there is no memory then
_end = os._exit  # no handler of exit may run, as each needs memory


def end_if_out_of_memory(error: BaseException | None = None) -> None:
    """End the process if an exception is a MemoryError, or contains one.

    error: None for the exception that is being handled.
    """
    if _is_memory_error(sys.exc_info()[1] if error is None else error):
        _write_line()
        _end(ExitCode.FAILED)


def end_when_out_of_memory(loop: asyncio.AbstractEventLoop, prefix: str = "") -> None:
    """End the process for a MemoryError that no code handles: in a callback, thread or destructor.

    Args:
        loop: Its exception handler must have been set.
        prefix: Of the line on standard error: the priority, for the journal.
    """
    global _line  # noqa: PLW0603  one process has one standard error
    _line = f"{prefix}{MESSAGE}\n".encode()
    handle_unraisable, handle_in_thread = sys.unraisablehook, threading.excepthook

    def unraisable(unraisable: Any) -> None:
        end_if_out_of_memory(unraisable.exc_value)
        handle_unraisable(unraisable)

    def in_thread(arguments: Any) -> None:
        end_if_out_of_memory(arguments.exc_value)
        handle_in_thread(arguments)

    sys.unraisablehook, threading.excepthook = unraisable, in_thread
    handle_in_loop = loop.get_exception_handler()

    def in_loop(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        end_if_out_of_memory(context.get("exception"))
        if handle_in_loop is not None:
            handle_in_loop(loop, context)
        else:
            loop.default_exception_handler(context)

    loop.set_exception_handler(in_loop)


def _is_memory_error(error: BaseException | None) -> bool:
    while error is not None:
        if isinstance(error, MemoryError):
            return True
        if isinstance(error, BaseExceptionGroup):
            return any(_is_memory_error(each) for each in error.exceptions)
        error = error.__cause__
    return False


def _write_line() -> None:
    with suppress(OSError):
        os.set_blocking(2, False)  # a full pipe must not keep the process alive
        os.write(2, _line)
