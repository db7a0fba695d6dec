"""Data that arrived together in several packets, and goes on together without being copied."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence


@dataclass(frozen=True, slots=True)
class BufferList:
    """Bytes in several pieces, in order; its length is theirs together."""

    views: Sequence[bytes | memoryview]
    size: int

    def __len__(self) -> int:
        """Bytes."""
        return self.size
