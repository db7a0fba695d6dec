"""A MemoryError ends the process, wherever it is raised."""

from __future__ import annotations

import subprocess
import sys
import threading
from typing import TYPE_CHECKING

import pytest

from tests.e2e.program import SOURCE
from tunnelkeeper.net import out_of_memory
from tunnelkeeper.net.out_of_memory import MESSAGE, end_if_out_of_memory

if TYPE_CHECKING:
    from collections.abc import Callable


@pytest.fixture
def ends(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Record the exit codes instead of ending the process."""
    codes: list[int] = []
    monkeypatch.setattr(out_of_memory, "_end", codes.append)
    return codes


def caused(cause: BaseException) -> Exception:
    error = ValueError("text")
    error.__cause__ = cause
    return error


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        ExceptionGroup("tasks", [ValueError(), MemoryError()]),
        ExceptionGroup("tasks", [ExceptionGroup("more", [MemoryError()])]),
        caused(MemoryError()),
        caused(ExceptionGroup("tasks", [MemoryError()])),
    ],
    ids=repr,
)
def test_a_memory_error_ends_the_process(
    ends: list[int], capfd: pytest.CaptureFixture[str], error: Exception
) -> None:
    end_if_out_of_memory(error)

    assert ends == [1]
    assert capfd.readouterr().err == f"{MESSAGE}\n"


@pytest.mark.parametrize(
    "error",
    [ValueError(), OSError(12, "no memory"), caused(OSError()), ExceptionGroup("", [OSError()])],
)
def test_another_error_does_not(ends: list[int], error: Exception) -> None:
    end_if_out_of_memory(error)

    assert ends == []


def test_the_exception_that_is_being_handled_is_judged(ends: list[int]) -> None:
    end_if_out_of_memory()
    assert ends == []
    try:
        raise MemoryError
    except MemoryError:
        end_if_out_of_memory()

    assert ends == [1]


PROGRAM = """
import asyncio, threading
from tunnelkeeper.net.out_of_memory import end_when_out_of_memory

def fail():
    raise MemoryError

async def fail_in_a_task():
    fail()

class Unraisable:
    def __del__(self):
        fail()

async def main():
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(lambda *_: None)
    end_when_out_of_memory(loop, "<3>")
    {statement}
    await asyncio.Event().wait()

asyncio.run(main())
"""


@pytest.mark.parametrize(
    "statement",
    [
        "loop.call_soon(fail)",
        "threading.Thread(target=fail).start()",
        "Unraisable()",
        "asyncio.ensure_future(fail_in_a_task()); await asyncio.sleep(0); import gc; gc.collect()",
    ],
    ids=["in a callback", "in a thread", "in a destructor", "in a task that no code awaits"],
)
def test_a_memory_error_that_no_code_handles_ends_the_program(statement: str) -> None:
    completed = subprocess.run(
        [sys.executable, "-c", PROGRAM.replace("{statement}", statement)],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
        cwd=SOURCE,
    )

    assert completed.returncode == 1
    assert completed.stderr == f"<3>{MESSAGE}\n"


def test_hooks_that_were_set_before_are_called_for_other_errors(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    seen: list[object] = []
    record: Callable[..., None] = lambda *arguments: seen.append(arguments[-1])  # noqa: E731
    monkeypatch.setattr(sys, "unraisablehook", record)
    monkeypatch.setattr(threading, "excepthook", record)

    class Loop:
        handler: Callable[..., None] = staticmethod(record)

        def get_exception_handler(self) -> Callable[..., None]:
            return self.handler

        def set_exception_handler(self, handler: Callable[..., None]) -> None:
            self.handler = handler

    class Report:
        exc_value = ValueError("a fault")

    loop = Loop()
    out_of_memory.end_when_out_of_memory(loop)  # type: ignore[arg-type]
    sys.unraisablehook(Report)  # type: ignore[arg-type]
    threading.excepthook(Report)  # type: ignore[arg-type]
    loop.handler(loop, {"exception": Report.exc_value})

    assert seen == [Report, Report, {"exception": Report.exc_value}]
