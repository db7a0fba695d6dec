"""Who writes into a link, and in which order they have their turns when it drains.

The first that may write again can fill the link again, and what the others have to say would not
be read until it is done; so whoever filled it has its next turn behind all others.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterator


class LinkWriter(Protocol):
    """Something that writes into a connection and can hold its breath."""

    def pause_link(self) -> None:
        """The link is full: write no more."""

    def resume_link(self) -> None:
        """The link drains again."""


class WriteScheduler:
    """The writers of one link, in the order of their turns."""

    def __init__(self) -> None:
        self._writers: dict[LinkWriter, None] = {}

    def __iter__(self) -> Iterator[LinkWriter]:
        """As they are now, whatever their turns do to them."""
        return iter(tuple(self._writers))

    def __len__(self) -> int:
        """How many there are."""
        return len(self._writers)

    def __contains__(self, writer: object) -> bool:
        """Whether it is one of them."""
        return writer in self._writers

    def add(self, writer: LinkWriter) -> None:
        """One more, behind the others."""
        self._writers[writer] = None

    def discard(self, writer: LinkWriter) -> None:
        """It is gone."""
        self._writers.pop(writer, None)

    def move_to_back(self, writer: LinkWriter) -> None:
        """This one has filled the link."""
        if writer in self._writers:
            del self._writers[writer]
            self._writers[writer] = None
