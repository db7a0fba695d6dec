"""The measures. Each is prepared for one contender, and then taken once in each round.

A measure is a context manager that yields a function, which measures once and returns figures by
name. Its tunnels and services run until the end of the block.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager

from benchmarks.lab import Lab
from benchmarks.rows import Contender
from benchmarks.scale import Scale

Figures = Mapping[str, float]
Take = Callable[[], Figures]
Measure = Callable[[Lab, Scale, Contender], AbstractContextManager[Take]]
