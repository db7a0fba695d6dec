from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tunnelkeeper.core.fair_queue import FairQueue, Flow


def test_a_flow_that_has_used_little_goes_first() -> None:
    queue: FairQueue[str] = FairQueue()
    heavy, light = Flow(), Flow()
    queue.push("waiting", Flow())
    queue.charge(heavy, 10)
    queue.push("heavy", heavy)
    queue.push("light", light)

    assert [queue.pop() for _ in range(3)] == ["waiting", "light", "heavy"]


def test_items_of_one_flow_are_charged_together() -> None:
    """Many connections of one key get as much as one connection of another key."""
    queue: FairQueue[str] = FairQueue()
    many, one = Flow(), Flow()
    for _ in range(3):
        queue.push("many", many)
    queue.push("one", one)

    order = []
    while queue:
        item = queue.pop()
        queue.charge(many if item == "many" else one, 1)
        order.append(item)

    assert order.index("one") == 1


def test_time_used_while_the_queue_is_empty_costs_nothing() -> None:
    queue: FairQueue[str] = FairQueue()
    early, late = Flow(), Flow()
    queue.charge(early, 1000)
    queue.charge(late, 1)
    queue.push("early", early)
    queue.push("late", late)

    assert queue.pop() == "early"


def test_an_empty_queue_has_no_item() -> None:
    with pytest.raises(IndexError):
        FairQueue[str]().pop()


@given(
    st.lists(
        st.tuples(st.integers(0, 3), st.floats(0.1, 5)),
        min_size=20,
        max_size=200,
    )
)
def test_busy_flows_get_equal_shares(costs: list[tuple[int, float]]) -> None:
    """While all flows have work, their shares differ by two items at most."""
    queue: FairQueue[int] = FairQueue()
    flows = [Flow() for _ in range(4)]
    work = {number: [cost for flow, cost in costs if flow == number] for number in range(4)}
    for number, flow in enumerate(flows):
        queue.push(number, flow)
    used: Counter[int] = Counter()
    while all(work.values()):
        number = queue.pop()
        cost = work[number].pop()
        used[number] += cost  # type: ignore[assignment]
        queue.charge(flows[number], cost)
        queue.push(number, flows[number])
        assert max(used.values()) - min(used[each] for each in range(4)) <= 2 * 5
