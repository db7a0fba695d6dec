"""A pytest plugin that fails the test that leaks a process, socket, file, event loop or task.

It does not look for threads.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import logging
import os
import subprocess
import sys
import time
import traceback
from typing import TYPE_CHECKING

import psutil
import pytest

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator

DRAIN_TIMEOUT = 1.0
"""Seconds for the tasks of a loop that is closed to end by themselves."""

REAP_TIMEOUT = 2.0
"""Seconds for a process that was killed to be reaped by the thread that waits for it."""

RESOURCE_EVENTS = frozenset({"socket.__new__", "subprocess.Popen", "os.fork", "open"})
"""Audit events of what can leak. An event loop makes sockets."""

_failure = pytest.StashKey[BaseException]()


class LeakGuard:
    """Looks for leaks after the teardown of each test.

    Without it, a leak is reported by whichever test runs when the garbage collector finds it.
    """

    def __init__(self) -> None:
        self._wide_fixtures: set[object] = set()
        self._asyncio_errors: list[str] = []
        self._log_handler = _ErrorCollector(self._asyncio_errors)
        self._patch = pytest.MonkeyPatch()
        self._hears_of_resources = False
        self._uses_resources = False

    def pytest_sessionstart(self) -> None:
        logging.getLogger("asyncio").addHandler(self._log_handler)
        # Runner.close() of Python 3.11 to 3.14 calls this before it closes the loop.
        cancel_all: Callable[[asyncio.AbstractEventLoop], None]
        cancel_all = getattr(asyncio.runners, "_cancel_all_tasks")  # noqa: B009  not in typeshed

        def report_and_cancel(loop: asyncio.AbstractEventLoop) -> None:
            if tasks := asyncio.all_tasks(loop):
                waiting = asyncio.wait(tasks, timeout=DRAIN_TIMEOUT)
                _, pending = loop.run_until_complete(waiting)
                self._asyncio_errors += [f"pending when its loop closed: {x}" for x in pending]
            cancel_all(loop)

        self._patch.setattr(asyncio.runners, "_cancel_all_tasks", report_and_cancel)

    def pytest_sessionfinish(self) -> None:
        self._patch.undo()
        logging.getLogger("asyncio").removeHandler(self._log_handler)

    def pytest_collection_finish(self) -> None:
        # Python calls audit hooks while it installs a trace function. A hook in Python lets other
        # threads run there, and a thread that starts then cannot be traced and ends.
        if sys.gettrace() is None:
            sys.addaudithook(self._on_audit_event)
            self._hears_of_resources = True
        # Collections after tests are affordable only because they skip all modules and tests.
        gc.collect()
        gc.freeze()

    @pytest.hookimpl(tryfirst=True)
    def pytest_fixture_setup(self, fixturedef: pytest.FixtureDef[object]) -> None:
        if fixturedef.scope not in {"function", "session"}:
            self._wide_fixtures.add(fixturedef)

    def pytest_fixture_post_finalizer(self, fixturedef: pytest.FixtureDef[object]) -> None:
        self._wide_fixtures.discard(fixturedef)
        self._uses_resources |= fixturedef.scope != "function"

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(
        self, item: pytest.Item, call: pytest.CallInfo[None]
    ) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        report = yield
        if report.failed and call.excinfo is not None:
            item.stash[_failure] = call.excinfo.value
        return report

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_teardown(self, item: pytest.Item) -> Generator[None, None, None]:
        try:
            yield
        except BaseException as error:
            for leak in self._find_leaks(item):
                error.add_note(f"leak: {leak}")
            raise
        if leaks := self._find_leaks(item):
            pytest.fail("the test leaks:\n" + "\n".join(leaks), pytrace=False)

    def _find_leaks(self, item: pytest.Item) -> list[str]:
        with _unraisable_errors() as leaks:
            # The locals of a failed test and the values of its fixtures would hide leaks.
            if (failure := item.stash.get(_failure, None)) is not None:
                _clear_frames(failure)
            if isinstance(item, pytest.Function):
                item.funcargs.clear()
            # Tests that share the processes of a fixture are checked together, after the last.
            if not self._wide_fixtures:
                leaks.extend(_end_children())
            if self._uses_resources or not self._hears_of_resources:
                gc.collect()
                if not self._wide_fixtures:
                    gc.freeze()  # what is left is held by modules and caches
                self._uses_resources = False
        leaks += self._asyncio_errors
        self._asyncio_errors.clear()
        return leaks

    def _on_audit_event(self, event: str, _arguments: tuple[object, ...]) -> None:
        if event in RESOURCE_EVENTS:
            self._uses_resources = True


class _ErrorCollector(logging.Handler):
    """Keeps what asyncio logs of tasks that were destroyed or failed unnoticed."""

    def __init__(self, errors: list[str]) -> None:
        super().__init__(logging.ERROR)
        self._errors = errors

    def emit(self, record: logging.LogRecord) -> None:
        self._errors.append(self.format(record))


@contextlib.contextmanager
def _unraisable_errors() -> Iterator[list[str]]:
    """Collect the errors of finalizers, which are ResourceWarnings if something is not closed."""
    errors: list[str] = []

    def collect(unraisable: sys.UnraisableHookArgs) -> None:
        errors.append(f"{unraisable.exc_value!r} in {unraisable.object!r}")

    previous, sys.unraisablehook = sys.unraisablehook, collect
    try:
        yield errors
    finally:
        sys.unraisablehook = previous


def _clear_frames(error: BaseException) -> None:
    """Drop the locals of all frames that an exception and its causes hold."""
    seen: set[int] = set()
    pending: list[BaseException | None] = [error]
    while pending:
        current = pending.pop()
        if current is None or id(current) in seen:
            continue
        seen.add(id(current))
        traceback.clear_frames(current.__traceback__)
        pending += [current.__cause__, current.__context__]
        if isinstance(current, BaseExceptionGroup):
            pending += current.exceptions


def _has_children() -> bool:
    """Return whether this process has children, dead or alive; far cheaper than a list of them."""
    try:
        os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
    except ChildProcessError:
        return False
    return True


def _end_children() -> Iterator[str]:
    """Kill and reap the children of this process that no test waits for; yield what they are."""
    deadline = time.monotonic() + REAP_TIMEOUT
    while _has_children():
        if time.monotonic() >= deadline:
            break
        time.sleep(0.01)
    else:
        return
    children = psutil.Process().children()
    for child in children:
        with contextlib.suppress(psutil.Error):
            command = " ".join(child.cmdline()) if child.status() != psutil.STATUS_ZOMBIE else "?"
            yield f"{child.name()} ({child.status()}): {command}"
            child.kill()
    # A Popen that is not waited for warns when it is collected, maybe in another test.
    for popen in [value for value in gc.get_objects() if type(value) is subprocess.Popen]:
        with contextlib.suppress(subprocess.TimeoutExpired):
            popen.wait(REAP_TIMEOUT)
    psutil.wait_procs(children, REAP_TIMEOUT)
