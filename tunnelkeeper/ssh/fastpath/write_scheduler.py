"""Round-robin scheduling of the writers that share one SSH connection.

The first writer that resumes can fill the connection again and starve the others, so the writer
that filled it moves behind all others. This module decides the order; it pauses nothing itself.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterator


class LinkWriter(Protocol):
    """A writer that can be paused while its connection is full."""

    def pause_link(self) -> None:
        """Stop writing: the connection is full."""

    def resume_link(self) -> None:
        """Resume writing: the connection has drained."""


class WriteScheduler:
    """The writers of one connection, in the order in which they resume."""

    def __init__(self) -> None:
        self._writers: dict[LinkWriter, None] = {}

    def __iter__(self) -> Iterator[LinkWriter]:
        """Iterate over a copy, since a resumed writer may change the order."""
        return iter(tuple(self._writers))

    def __len__(self) -> int:
        """Return the number of writers."""
        return len(self._writers)

    def __contains__(self, writer: object) -> bool:
        """Return whether a writer is registered."""
        return writer in self._writers

    def add(self, writer: LinkWriter) -> None:
        """Add a writer behind the others."""
        self._writers[writer] = None

    def discard(self, writer: LinkWriter) -> None:
        """Remove a writer if it is registered."""
        self._writers.pop(writer, None)

    def move_to_back(self, writer: LinkWriter) -> None:
        """Move the writer that filled the connection behind the others."""
        if writer in self._writers:
            del self._writers[writer]
            self._writers[writer] = None
