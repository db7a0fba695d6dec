"""The pool of descriptors: a reserve that is never used up, and shares of the rest."""

from __future__ import annotations

import errno
import os
from functools import partial

import pytest

from tunnelkeeper.core.shares import Holder
from tunnelkeeper.net.descriptor_pool import (
    GUARANTEED,
    DescriptorPool,
    DescriptorShare,
    Place,
    ShareUsedUpError,
    count_open,
)

KEY, OTHER = Holder("this key", 1), Holder("this key", 2)


class FakeProcess:
    """A process whose descriptors are counted here. opened: those that have no place."""

    def __init__(self, limit: int = 256, opened: int = 20) -> None:
        self.limit, self.opened, self.time = limit, opened, 0.0
        self.pool = DescriptorPool(
            64, lambda: self.limit, self.count, self.count, lambda: self.time
        )

    def count(self) -> int:
        return self.opened + self.pool.taken

    def take_all(self, *holders: Holder) -> list[Place]:
        places: list[Place] = []
        while True:
            try:
                places.append(self.pool.take(*holders))
            except OSError:
                return places


def test_one_holder_leaves_half_to_others_and_never_touches_the_reserve() -> None:
    process = FakeProcess()
    first = len(process.take_all(KEY))

    assert first == (256 - 64 - 20) // 2
    assert len(process.take_all(OTHER)) == (256 - 64 - 20 - first) // 2
    assert process.count() < 256 - 64


def test_the_error_says_whose_share_is_used_up() -> None:
    process = FakeProcess()
    process.take_all(KEY)

    with pytest.raises(ShareUsedUpError, match="this key has used its share") as caught:
        process.pool.take(KEY)
    assert caught.value.errno == errno.EMFILE


def test_descriptors_without_a_place_count_once_they_are_noticed() -> None:
    process = FakeProcess()
    process.pool.take(KEY)
    process.opened += 150
    process.time += 1

    assert process.pool.free == 256 - 64 - 20 - 150 - 1


def test_the_reserve_is_kept_if_the_descriptors_cannot_be_counted() -> None:
    process = FakeProcess(limit=4096, opened=4096 - 64)
    process.pool.count = lambda: 0

    with pytest.raises(ShareUsedUpError, match="only the reserve"):
        process.pool.take(KEY)


def test_the_reserve_is_kept_even_between_two_counts() -> None:
    process = FakeProcess()
    process.pool.take(KEY)
    process.opened += 180

    with pytest.raises(ShareUsedUpError, match="only the reserve"):
        process.pool.take(OTHER)


def greedy_holders(process: FakeProcess, count: int) -> list[str]:
    """Let holders take all that they get, one after the other; return the names of the evicted."""
    evicted: list[str] = []
    for number in range(count):
        name = f"greedy {number}"
        for place in process.take_all(Holder(name, number)):
            process.pool.on_evict(place, partial(evicted.append, name))
    return evicted


def test_the_largest_holder_loses_to_one_that_has_hardly_any() -> None:
    process = FakeProcess()
    evicted = greedy_holders(process, 12)  # each leaves half of what it found
    del evicted[:]
    honest = process.take_all(KEY)

    assert len(honest) == GUARANTEED
    assert set(evicted) <= {"greedy 0", "greedy 1"}
    assert evicted
    assert process.count() <= 256 - 64


def test_a_key_gets_some_although_another_one_has_used_the_share_of_their_address() -> None:
    process = FakeProcess()
    address = Holder("this address", "192.0.2.1")
    evicted: list[str] = []
    for place in process.take_all(KEY, address):
        process.pool.on_evict(place, partial(evicted.append, "first key"))

    assert len(process.take_all(OTHER, address)) == len(evicted) == GUARANTEED


def test_no_holder_loses_to_one_that_has_enough_or_to_itself() -> None:
    process = FakeProcess()
    evicted = greedy_holders(process, 1)
    process.take_all(KEY)
    process.take_all(Holder("greedy 0", 0))

    assert evicted == []


def test_a_released_place_is_not_evicted() -> None:
    process = FakeProcess()
    places = process.take_all(KEY)
    for place in places:
        process.pool.on_evict(place, pytest.fail)
        place.release()
    process.opened += 175
    process.time += 1

    assert process.take_all(OTHER) == []


def test_a_place_is_given_back_once() -> None:
    process = FakeProcess()
    share = DescriptorShare(process.pool, (KEY,))
    place, other = share.take(), share.occupy()
    place.release()
    place.release()

    assert process.pool.taken == process.pool.held_by(KEY) == 1
    other.release()
    assert process.pool.taken == 0


def test_a_place_for_an_open_descriptor_is_given_without_regard_to_shares() -> None:
    process = FakeProcess()
    process.take_all(KEY)
    held = process.pool.held_by(KEY)
    process.pool.occupy(KEY)

    assert process.pool.held_by(KEY) == held + 1


def test_the_open_descriptors_are_counted() -> None:
    before = count_open()
    descriptors = [os.open(os.devnull, os.O_RDONLY) for _ in range(3)]
    after = count_open()
    for descriptor in descriptors:
        os.close(descriptor)

    assert after == before + 3


def test_a_count_that_fails_is_no_error(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_path: str) -> list[str]:
        raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))

    monkeypatch.setattr(os, "listdir", fail)

    assert count_open() == 0
