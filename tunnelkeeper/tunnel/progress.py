"""What a session of a tunnel tells: how far it is, for status, and its remarks, for the journal."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tunnelkeeper.core.snapshot import ProgressSnapshot

if TYPE_CHECKING:
    from tunnelkeeper.core.snapshot import Step
    from tunnelkeeper.tunnel.context import TunnelContext


class SessionProgress:
    """An ssh.progress.Report. progress: the step that the session is at."""

    def __init__(self, name: str, services: TunnelContext) -> None:
        self.progress: ProgressSnapshot | None = None
        self._name = name
        self._services = services

    def step(self, hop: str, step: Step) -> None:
        """The session is at a step of a hop."""
        self.progress = ProgressSnapshot(hop, step)
        self._services.on_change(self._name)

    def debug(self, text: str) -> None:
        """For whoever looks closely."""
        self._services.journal.write("debug", self._name, text)

    def info(self, text: str) -> None:
        """It happened and is fine."""
        self._services.journal.write("info", self._name, text)

    def warn(self, text: str) -> None:
        """A person should mend it, though it goes on; said once, not at every attempt."""
        self._services.journal.write_throttled("warning", self._name, text)
