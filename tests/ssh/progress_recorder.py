"""A progress listener that records its calls."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tunnelkeeper.core.snapshot import Step


@dataclass(slots=True)
class ProgressRecorder:
    """The steps of an attempt as (hop, step), and its log messages by level."""

    steps: list[tuple[str, Step]] = field(default_factory=list)
    infos: list[str] = field(default_factory=list)
    debugs: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    waits: list[str] = field(default_factory=list)
    tunnel: str = "t"

    def step(self, hop: str, step: Step) -> None:
        self.steps.append((hop, step))

    def waiting(self, text: str) -> None:
        self.waits.append(text)

    def debug(self, text: str) -> None:
        self.debugs.append(text)

    def info(self, text: str) -> None:
        self.infos.append(text)

    def warn(self, text: str) -> None:
        self.warnings.append(text)

    @property
    def step_names(self) -> list[Step]:
        """The steps without their hops."""
        return [step for _, step in self.steps]
