"""What the way to a server tells whoever watches it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from tunnelkeeper.core.snapshot import Step


class ProgressListener(Protocol):
    """Takes the steps and the remarks of one attempt to connect."""

    def step(self, hop: str, step: Step) -> None:
        """The attempt is now at a step of a hop."""

    def debug(self, text: str) -> None:
        """Something for whoever looks closely."""

    def info(self, text: str) -> None:
        """Something that happened and is fine."""

    def warn(self, text: str) -> None:
        """Something a person should mend, though it goes on."""
