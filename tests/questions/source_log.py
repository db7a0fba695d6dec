"""A log for sources of answers."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass
class Lines:
    """A log that keeps its lines."""

    infos: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)

    def info(self, text: str) -> None:
        self.infos.append(text)

    def warn(self, text: str) -> None:
        self.warnings.append(text)
