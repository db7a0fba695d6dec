from __future__ import annotations

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from tunnelkeeper.core.log_limiter import (
    INTERVAL,
    MAX_REFUSALS,
    REFUSALS_PER_SECOND,
    LogLimiter,
    RefusalLimit,
    Summary,
)

ANN, BOX = ("ann", "open"), ("box", "open")


def test_the_first_line_of_a_key_is_logged_and_the_rest_is_counted() -> None:
    limiter = LogLimiter()

    assert [limiter.admits(ANN, f"line {number}", 0.0) for number in range(4)] == [
        True,
        False,
        False,
        False,
    ]
    assert limiter.admits(BOX, "line", 1.0)
    assert limiter.next_due == INTERVAL
    assert limiter.summaries(INTERVAL - 1) == []
    assert limiter.summaries(INTERVAL) == [Summary(ANN, 3, "line 3")]


def test_a_long_flood_is_one_line_per_interval() -> None:
    limiter = LogLimiter()
    lines = 0
    for second in range(600):
        lines += limiter.admits(ANN, "line", float(second))
        lines += len(limiter.summaries(float(second)))

    assert lines == 10


def test_a_line_after_a_quiet_interval_is_logged() -> None:
    limiter = LogLimiter()

    assert limiter.admits(ANN, "line", 0.0)
    assert limiter.admits(ANN, "line", INTERVAL)
    assert limiter.summaries(2 * INTERVAL) == []
    assert limiter.next_due is None


def test_a_burst_is_logged_in_full() -> None:
    limiter = LogLimiter(burst=3)

    assert [limiter.admits(ANN, "line", 0.0) for _ in range(4)] == [True, True, True, False]


def test_more_clients_than_fit_are_counted_together() -> None:
    limiter = LogLimiter(max_keys=10)
    logged = sum(limiter.admits((f"client {number}",), "line", 0.0) for number in range(1000))

    assert logged == 10
    assert limiter.summaries(INTERVAL) == [Summary((), 990, "line")]
    assert limiter.admits(ANN, "line", INTERVAL)


@given(
    st.lists(
        st.one_of(
            st.tuples(st.just("line"), st.integers(0, 30), st.floats(0, 20)),
            st.tuples(st.just("due"), st.just(0), st.floats(0, 20)),
        ),
        max_size=300,
    ),
    st.integers(1, 3),
)
def test_every_line_is_logged_or_counted_and_both_are_bounded(
    events: list[tuple[str, int, float]], burst: int
) -> None:
    limiter = LogLimiter(burst, max_keys=8)
    now, lines, logged, counted = 0.0, 0, 0, 0
    per_window: Counter[tuple[int, int]] = Counter()
    for kind, client, pause in events:
        now += pause
        if kind == "line":
            lines += 1
            if limiter.admits((str(client),), "text", now):
                logged += 1
                per_window[client, int(now // INTERVAL)] += 1
        else:
            counted += sum(summary.count for summary in limiter.summaries(now))
        assert len(limiter._windows) <= 9
    counted += sum(summary.count for summary in limiter.summaries(now + 2 * INTERVAL))

    assert logged + counted == lines
    assert all(count <= 2 * burst for count in per_window.values())


def test_a_client_may_be_refused_often_but_not_without_end() -> None:
    limit = RefusalLimit(0.0)

    assert not any(limit.exceeds(0.0) for _ in range(MAX_REFUSALS))
    assert limit.exceeds(0.0)


def test_a_client_that_is_refused_now_and_then_is_never_disconnected() -> None:
    limit = RefusalLimit(0.0)

    assert not any(
        limit.exceeds(number / REFUSALS_PER_SECOND) for number in range(5 * MAX_REFUSALS)
    )
