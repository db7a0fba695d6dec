"""Detection of changed key and known_hosts files."""

from __future__ import annotations

import asyncio
import os
import threading
from typing import TYPE_CHECKING

import pytest

from tests.fake_clock import FakeClock, settle, until, within_deadline
from tunnelkeeper.net import thread_executor
from tunnelkeeper.ssh.auth.file_cache import file_signature
from tunnelkeeper.tunnel import file_watcher
from tunnelkeeper.tunnel.file_watcher import (
    POLL_INTERVAL,
    read_signatures,
    read_signatures_in_thread,
    wait_for_change,
)

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


def write(path: Path) -> None:
    path.write_text("other message")


def replace_file(path: Path) -> None:
    new = path.with_name("new")
    new.write_text(path.read_text())
    os.utime(new, ns=(path.stat().st_atime_ns, path.stat().st_mtime_ns))
    new.replace(path)


def remove_permissions(path: Path) -> None:
    path.chmod(0o400)


def remove(path: Path) -> None:
    path.unlink()


@pytest.mark.parametrize("change", [write, replace_file, remove_permissions, remove])
async def test_every_kind_of_change_is_detected(
    tmp_path: Path, change: Callable[[Path], None]
) -> None:
    clock, path = FakeClock(), tmp_path / "known_hosts"
    path.write_text("message")
    async with asyncio.TaskGroup() as tasks:
        waiting = tasks.create_task(wait_for_change(read_signatures([str(path)]), clock))
        await clock.advance(5 * POLL_INTERVAL)
        assert not waiting.done()

        change(path)
        await advance_until(clock, waiting.done)


async def test_a_new_file_is_detected(tmp_path: Path) -> None:
    clock, path = FakeClock(), tmp_path / "id_ed25519"
    async with asyncio.TaskGroup() as tasks:
        waiting = tasks.create_task(wait_for_change(read_signatures([str(path)]), clock))
        await settle()
        path.write_text("a key")
        await advance_until(clock, waiting.done)


async def advance_until(clock: FakeClock, condition: Callable[[], bool]) -> None:
    """Advance the clock until the condition is true; the files are read in threads."""
    async with within_deadline():
        while not condition():
            await clock.advance(POLL_INTERVAL)


async def test_a_file_that_hangs_counts_as_missing_and_delays_no_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hanging, path = str(tmp_path / "hanging"), tmp_path / "known_hosts"
    path.touch()
    release = threading.Event()
    stat = os.stat

    def hang(name: str, **options: bool) -> os.stat_result:
        if str(name) == hanging:
            release.wait()
        return stat(name, **options)

    monkeypatch.setattr(os, "stat", hang)
    monkeypatch.setattr(thread_executor, "READ_TIMEOUT", 0.1)
    try:
        both = await read_signatures_in_thread([hanging, str(path)])
        assert both == {hanging: None, str(path): file_signature(stat(path))}
        assert await read_signatures_in_thread([str(path)]) == read_signatures([str(path)])
    finally:
        release.set()
    await until(lambda: not file_watcher._READS)


def test_an_unreadable_path_counts_as_missing(tmp_path: Path) -> None:
    within_a_file = tmp_path / "file" / "below"
    (tmp_path / "file").touch()
    paths = [str(within_a_file), "nul\0byte", str(tmp_path / "missing")]

    assert read_signatures(paths) == dict.fromkeys(paths)
