"""A parser to fuzz, and the inputs to begin with. An input is a valid one with a few edits."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st

if TYPE_CHECKING:
    from collections.abc import Callable

MAX_EDITS = 8
NOISE_LIMIT = 600
"""Bytes of an input that is not derived from a valid one."""

Edit = tuple[int, int, bytes]
"""A position and a length, both modulo the length of the input, and the bytes to put there."""


@dataclass(frozen=True, slots=True)
class Target:
    """A parser.

    name: for messages and --only. read: parses an input; any exception is a fault, so it handles
    those that the parser documents. seeds: valid inputs. words: what the parser knows.
    """

    name: str
    read: Callable[[bytes], object]
    seeds: tuple[bytes, ...]
    words: tuple[bytes, ...] = ()

    def run(self, examples: int, number: int) -> None:
        """Try inputs until one fails. Raise its exception, with the smallest input that fails.

        number: chooses the inputs; the same number gives the same ones.
        """

        def read(data: bytes) -> None:
            self.read(data)

        limits = settings(
            max_examples=examples,
            database=None,
            deadline=None,
            suppress_health_check=list(HealthCheck),
            phases=(Phase.generate, Phase.shrink),
        )
        limits(seed(number)(given(inputs(self))(read)))()


def inputs(target: Target) -> st.SearchStrategy[bytes]:
    """Return the inputs of a target: valid ones, edited ones, and noise."""
    inserted = st.one_of(st.binary(max_size=6), st.sampled_from((b"", *target.words)))
    edits = st.tuples(st.integers(0, 5000), st.sampled_from((0, 0, 1, 2, 9, 5000)), inserted)
    edited = st.builds(
        apply_edits, st.sampled_from(target.seeds), st.lists(edits, max_size=MAX_EDITS)
    )
    return st.one_of(edited, edited, st.binary(max_size=NOISE_LIMIT))


def apply_edits(data: bytes, edits: list[Edit]) -> bytes:
    """Replace parts of an input in turn."""
    for position, length, new in edits:
        start = position % (len(data) + 1)
        data = data[:start] + new + data[start + length :]
    return data
