"""The memory of decrypted keys, with a clock that is handed in."""

from __future__ import annotations

from dataclasses import dataclass, field
from math import inf
from typing import TYPE_CHECKING

from hypothesis import given
from hypothesis import strategies as st

from tests.ssh.server import new_key
from tunnelkeeper.ssh.auth.unlocked_keys import LOOK_INTERVAL, KeyFileVersion, UnlockedKeys

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

KEY = new_key()


@dataclass
class Clock:
    """A clock and the calls that are planned. asleep: seconds that only `now` counts."""

    time: float = 100.0
    asleep: float = 0.0
    planned: list[tuple[float, Callable[[], None]]] = field(default_factory=list)

    def now(self) -> float:
        return self.time + self.asleep

    def call_later(self, delay: float, callback: Callable[[], None]) -> None:
        self.planned.append((self.time + delay, callback))

    def advance(self, seconds: float) -> None:
        end = self.time + seconds
        while due := [plan for plan in self.planned if plan[0] <= end]:
            first = min(due, key=lambda plan: plan[0])
            self.planned.remove(first)
            self.time = max(self.time, first[0])
            first[1]()
        self.time = end


def memory() -> tuple[Clock, UnlockedKeys]:
    clock = Clock()
    return clock, UnlockedKeys(clock.now, clock.call_later)


def version(path: str, number: int = 1) -> KeyFileVersion:
    return KeyFileVersion(path, (number,))


TIMES = st.floats(1, 1e6)
STEPS = st.one_of(
    st.tuples(st.just("add"), st.sampled_from("abc"), st.one_of(st.just(inf), TIMES)),
    st.tuples(st.just("limit"), st.sampled_from("abc"), TIMES),
    st.tuples(st.just("advance"), st.just(""), TIMES),
    st.tuples(st.just("sleep"), st.just(""), TIMES),
    st.tuples(st.just("forget"), st.just(""), st.just(0.0)),
)


@given(st.lists(STEPS, max_size=20))
def test_a_key_is_held_exactly_until_its_earliest_limit(
    steps: list[tuple[str, str, float]],
) -> None:
    clock, keys = memory()
    limits: dict[str, float] = {}
    for step, path, seconds in steps:
        if step == "add":
            keys.add(version(path), KEY, seconds)
            limits[path] = clock.now() + seconds
        elif step == "limit":
            keys.limit(path, seconds)
            if path in limits:
                limits[path] = min(limits[path], clock.now() + seconds)
        elif step == "advance":
            clock.advance(seconds)
        elif step == "sleep":
            clock.asleep += seconds
        else:
            assert keys.forget() == len(limits)
            limits.clear()
        limits = {path: limit for path, limit in limits.items() if limit > clock.now()}
        for name in "abc":
            assert (keys.find(version(name)) is KEY) == (name in limits)
        assert len(keys) == len(limits)


def test_an_expired_key_leaves_memory_although_no_one_asks_for_it() -> None:
    clock, keys = memory()
    keys.add(version("a"), KEY, 3600)
    keys.add(version("b"), KEY)

    clock.advance(3601)

    assert list(keys._entries) == ["b"]
    assert clock.planned == []


def test_the_time_asleep_counts_at_the_next_look_at_the_clock() -> None:
    clock, keys = memory()
    keys.add(version("a"), KEY, 8 * 3600)

    clock.asleep = 9 * 3600
    clock.advance(LOOK_INTERVAL)

    assert not keys._entries


def test_another_version_of_the_file_has_no_key_in_memory(tmp_path: Path) -> None:
    _, keys = memory()
    keys.add(version("a"), KEY)

    assert keys.find(version("a", 2)) is None
    assert keys.find(version("b")) is None


def test_a_link_names_the_file_that_it_leads_to(tmp_path: Path) -> None:
    (tmp_path / "key").touch()
    (tmp_path / "link").symlink_to("key")

    assert KeyFileVersion.of(str(tmp_path / "link")) == KeyFileVersion.of(str(tmp_path / "key"))


def test_the_memory_shows_no_key() -> None:
    _, keys = memory()
    keys.add(version("/home/ann/.ssh/id"), KEY)

    assert "SSHKey" not in repr(keys)
    assert "ed25519" not in repr(keys).lower()
