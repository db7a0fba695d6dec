from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tunnelkeeper.core.login_budget import (
    BYTES,
    BYTES_PER_TRY,
    PACKETS,
    PACKETS_PER_TRY,
    PADDING_BURST,
    PADDING_PER_SECOND,
    REKEY_BURST,
    REKEY_BYTES,
    REKEY_INTERVAL,
    UNLIMITED_TRIES,
    LoginBudget,
    LoginBudgetError,
    PaddingLimit,
    RekeyLimit,
)


def test_a_login_may_have_one_key_exchange() -> None:
    budget = LoginBudget.for_tries(6)
    budget.spend_key_exchange()

    with pytest.raises(LoginBudgetError, match="second key exchange"):
        budget.spend_key_exchange()


@given(st.integers(0, 100), st.integers(1, 40_000))
def test_packets_and_bytes_are_bounded(tries: int, size: int) -> None:
    budget = LoginBudget.for_tries(tries)
    counted = tries or UNLIMITED_TRIES
    most = min(PACKETS + counted * PACKETS_PER_TRY, (BYTES + counted * BYTES_PER_TRY) // size)
    for _ in range(most):
        budget.spend_packet(size)

    with pytest.raises(LoginBudgetError):
        budget.spend_packet(size)


def test_a_client_may_ask_for_new_keys_every_second() -> None:
    limit = RekeyLimit(0.0)

    assert [limit.delay(now * REKEY_INTERVAL) for now in range(100)] == [0.0] * 100


def test_a_client_with_a_small_rekey_limit_does_not_wait() -> None:
    limit = RekeyLimit(0.0)
    delays = []
    for _ in range(100):
        limit.add_bytes(REKEY_BYTES)
        delays.append(limit.delay(0.0))

    assert not any(delays)


@given(st.lists(st.floats(0, 3), max_size=100))
def test_the_answers_are_never_more_frequent_than_the_limit(pauses: list[float]) -> None:
    limit, now, answered = RekeyLimit(0.0), 0.0, []
    for pause in pauses:
        now += pause
        now += limit.delay(now)  # nothing is read meanwhile
        answered.append(now)

    for first, last in zip(answered, answered[REKEY_BURST:], strict=False):
        assert last - first >= REKEY_INTERVAL * 0.999


def test_a_peer_that_sends_only_padding_is_read_slowly() -> None:
    limit, now = PaddingLimit(0.0), 0.0
    for number in range(10 * PADDING_BURST):
        now += limit.delay(number, now)

    assert now >= 9 * PADDING_BURST / PADDING_PER_SECOND * 0.99


def test_a_peer_that_pads_each_packet_does_not_wait() -> None:
    limit = PaddingLimit(0.0)

    assert not any(limit.delay(number, 0.0) for number in range(0, 100_000, 2))
