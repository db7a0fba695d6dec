"""Detection of changed files, agents and validities of certificates."""

from __future__ import annotations

import asyncio
import os
import threading
import time
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from errno import EMFILE
from math import inf
from typing import TYPE_CHECKING, cast

import pytest

from tests.fake_clock import NOON, FakeClock, until
from tests.tunnel.harness import read_signatures_at_once
from tunnelkeeper.clock import SystemClock
from tunnelkeeper.core.failures import AgentKeys, Cause, Failure
from tunnelkeeper.net import thread_executor
from tunnelkeeper.ssh.auth.file_cache import file_signature
from tunnelkeeper.tunnel import dependency_watcher
from tunnelkeeper.tunnel.dependency_watcher import (
    POLL_INTERVAL,
    DependencyWatcher,
    SharedSignatures,
    read_signatures,
)

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from pathlib import Path

    from tunnelkeeper.ssh.auth.agent import AgentKeyLists
    from tunnelkeeper.tunnel.dependency_watcher import Signatures

SOCKET = "/run/agent"
YEAR = 365.25 * 86400
DENIED = Failure(Cause.AUTH, "no key")


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


class FakeAgents:
    """An ssh.auth.agent.AgentKeyLists. error: raised by `read`."""

    def __init__(self, keys: frozenset[bytes] | None = frozenset()) -> None:
        self.keys = keys
        self.error: OSError | None = None

    async def read(self, socket: str) -> frozenset[bytes] | None:
        assert socket == SOCKET
        if self.error is not None:
            raise self.error
        return self.keys


@dataclass
class Watch:
    """A watcher under test. changes: what it has reported."""

    clock: FakeClock = field(default_factory=FakeClock)
    agents: FakeAgents = field(default_factory=FakeAgents)
    changes: list[str] = field(default_factory=list)


@asynccontextmanager
async def watching(
    failure: Failure, before: Signatures, watch: Watch | None = None
) -> AsyncIterator[Watch]:
    """Watch for a failure, and assert that nothing has changed yet."""
    watch = watch or Watch()
    agents = cast("AgentKeyLists", watch.agents)
    watcher = DependencyWatcher(watch.clock, agents, read_signatures_at_once, watch.changes.append)
    async with asyncio.TaskGroup() as tasks:
        watcher.start(failure, before, tasks)
        await watch.clock.advance(5 * POLL_INTERVAL)
        assert watch.changes == []
        yield watch
        await watch.clock.advance(POLL_INTERVAL)
        watcher.stop()
    assert watch.clock.timers == []


@pytest.mark.parametrize("change", [write, replace_file, remove_permissions, remove])
async def test_every_kind_of_change_of_a_file_is_detected(
    tmp_path: Path, change: Callable[[Path], None]
) -> None:
    path = tmp_path / "known_hosts"
    path.write_text("message")
    async with watching(DENIED, read_signatures([str(path)])) as watch:
        change(path)

    assert watch.changes == [f"{path} changed"]


async def test_a_new_file_is_detected(tmp_path: Path) -> None:
    path = tmp_path / "id_ed25519"
    async with watching(DENIED, read_signatures([str(path)])) as watch:
        path.write_text("a key")

    assert watch.changes == [f"{path} changed"]


async def test_a_pattern_changes_with_its_matches_and_not_with_its_folder(tmp_path: Path) -> None:
    pattern = str(tmp_path / "*.conf")
    before = read_signatures([pattern])
    (tmp_path / "control-socket").write_text("")
    assert read_signatures([pattern]) == before
    (tmp_path / "a.conf").write_text("")
    with_one = read_signatures([pattern])
    assert with_one != before
    (tmp_path / "b.conf").write_text("")
    assert read_signatures([pattern]) not in (before, with_one)
    (tmp_path / "b.conf").unlink()
    assert read_signatures([pattern]) == with_one


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (frozenset(), frozenset({b"key"})),
        (frozenset({b"key"}), frozenset({b"key", b"other"})),
        (frozenset({b"key"}), frozenset({b"other"})),
        (None, frozenset()),
        (frozenset({b"key"}), None),
    ],
)
async def test_changed_keys_of_the_agent_are_detected(
    before: frozenset[bytes] | None, after: frozenset[bytes] | None
) -> None:
    failure = replace(DENIED, agent=AgentKeys(SOCKET, before))
    async with watching(failure, {}, Watch(agents=FakeAgents(before))) as watch:
        watch.agents.keys = after

    assert watch.changes == ["the keys of the agent changed"]


async def test_a_lack_of_descriptors_is_no_change_of_the_agent() -> None:
    failure = replace(DENIED, agent=AgentKeys(SOCKET, frozenset()))
    async with watching(failure, {}) as watch:
        watch.agents.error = OSError(EMFILE, "Too many open files")

    assert watch.changes == []


async def test_time_that_passes_makes_a_certificate_valid() -> None:
    starts_at = NOON.timestamp() + 60
    async with watching(replace(DENIED, certificate_validity=(starts_at, inf)), {}) as watch:
        await watch.clock.advance(54)
        assert watch.changes == []

    assert watch.changes == ["a certificate has become valid"]


@pytest.mark.parametrize(
    ("offset", "years"),
    [(-56, range(2020, 2030)), (+74, range(2020, 2030)), (-56, range(2020, 3000))],
    ids=["booted in 1970", "set to 2100", "booted in 1970, valid for long"],
)
async def test_a_step_of_the_wall_clock_into_the_validity_is_detected(
    offset: int, years: range
) -> None:
    validity = (
        datetime(years.start, 1, 1, tzinfo=UTC).timestamp(),
        datetime(years.stop, 1, 1, tzinfo=UTC).timestamp(),
    )
    watch = Watch(FakeClock(wall_offset=offset * YEAR))
    async with watching(replace(DENIED, certificate_validity=validity), {}, watch):
        watch.clock.wall_offset += YEAR
        await watch.clock.advance(10)
        assert watch.changes == []

        watch.clock.wall_offset = 0

    assert watch.changes == ["a certificate has become valid"]


async def test_a_failure_that_depended_on_nothing_is_not_watched() -> None:
    async with watching(DENIED, {}) as watch:
        assert watch.clock.timers == []


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
    monkeypatch.setattr(dependency_watcher, "READ_TIMEOUT", 0.1)
    signatures = SharedSignatures(SystemClock())
    try:
        for _ in range(2):
            both = await signatures.read([hanging, str(path)], time.monotonic())
            assert both == {hanging: None, str(path): file_signature(stat(path))}
        others = await signatures.read([str(path)], time.monotonic())
        assert others == read_signatures([str(path)])
    finally:
        release.set()
    await until(lambda: not dependency_watcher._READS)
    assert (await signatures.read([hanging, str(path)], time.monotonic()))[str(path)]


async def test_callers_share_a_look_that_began_late_enough(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    key, clock, looks = tmp_path / "key", FakeClock(), []
    path = str(key)

    def look(paths: tuple[str, ...]) -> Signatures:
        looks.append(paths)
        return read_signatures(paths)

    monkeypatch.setattr(dependency_watcher, "read_signatures", look)
    signatures = SharedSignatures(clock)

    await asyncio.gather(*(signatures.read([path], clock.now) for _ in range(20)))
    assert len(looks) == 1
    key.touch()
    clock.now += 0.5
    assert await signatures.read([path], clock.now - 0.5) == {path: None}
    assert await signatures.read([path], clock.now) == read_signatures([path])
    assert await signatures.read([], clock.now) == {}
    assert len(looks) == 2


def test_an_unreadable_path_counts_as_missing(tmp_path: Path) -> None:
    within_a_file = tmp_path / "file" / "below"
    (tmp_path / "file").touch()
    paths = [str(within_a_file), "nul\0byte", str(tmp_path / "missing")]

    assert read_signatures(paths) == dict.fromkeys(paths)
