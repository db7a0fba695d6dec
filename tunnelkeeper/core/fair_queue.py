"""Start-time fair queueing: whose work comes next when there is more work than time.

Each item of work belongs to a flow, such as a connection or all connections of a key. A flow that
has used little time goes before one that has used much, and an idle flow saves nothing up. The
costs are parameters. See P. Goyal, H. M. Vin and H. Cheng, "Start-Time Fair Queueing" (1996).
"""

from __future__ import annotations

import heapq
from collections import deque
from itertools import count
from typing import Generic, TypeVar

T = TypeVar("T")


class Flow:
    """The work of one party. finish: the virtual time at which its work so far ends."""

    __slots__ = ("__weakref__", "finish")

    def __init__(self) -> None:
        self.finish = 0.0


class FairQueue(Generic[T]):
    """Items of work in the order in which they are done: by flow, and first come in a flow."""

    def __init__(self) -> None:
        self._items: dict[Flow, deque[T]] = {}  # no empty ones
        self._heap: list[tuple[float, int, Flow]] = []  # each flow with items, once
        self._numbers = count()
        self._now = 0.0  # virtual time: the start of the work that was done last

    def __len__(self) -> int:
        return len(self._heap)

    def push(self, item: T, flow: Flow) -> None:
        """Add an item of a flow."""
        if flow in self._items:
            self._items[flow].append(item)
            return
        self._items[flow] = deque((item,))
        self._push_flow(flow)

    def pop(self) -> T:
        """Remove and return the item that starts first.

        Raises IndexError if the queue is empty.
        """
        start, number, flow = heapq.heappop(self._heap)
        while self._heap and flow.finish > start:  # it was charged after it was pushed
            start, number, flow = heapq.heappushpop(self._heap, (flow.finish, number, flow))
        self._now = max(self._now, start)
        items = self._items[flow]
        item = items.popleft()
        if items:
            self._push_flow(flow)
        else:
            del self._items[flow]
        return item

    def charge(self, flow: Flow, cost: float) -> None:
        """Charge a flow for work that was done, in any unit."""
        flow.finish = max(self._now, flow.finish) + cost
        if not self._heap:
            # No other flow has waited for this work. All flows are equal again.
            self._now = flow.finish

    def _push_flow(self, flow: Flow) -> None:
        heapq.heappush(self._heap, (max(self._now, flow.finish), next(self._numbers), flow))
