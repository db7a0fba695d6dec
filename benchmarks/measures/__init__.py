"""Each measure is made ready for one contender, and then taken once a round.

Made ready is a context manager that yields the taking: a call that measures once and returns
figures by name. What it holds open (tunnels, services) ends with the block.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager

from benchmarks.lab import Lab
from benchmarks.rows import Against
from benchmarks.scale import Scale

Figures = Mapping[str, float]
Take = Callable[[], Figures]
Measure = Callable[[Lab, Scale, Against], AbstractContextManager[Take]]
