"""The signs that are not letters: one set for UTF-8, one for plain ASCII; pure.

Each state has a sign of its own, for those who see no colours.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from tunnelkeeper.dashboard.text_width import safe

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tunnelkeeper.core.snapshot import StateName


@dataclass(frozen=True, slots=True)
class Glyphs:
    """A set of them. bars: heights from nothing to full; all are one cell wide."""

    states: Mapping[StateName, str]
    bars: str
    rule: str
    ellipsis: str
    inward: str
    outward: str
    ascending: str
    descending: str
    arrow: str
    marked: str
    dot: str
    axis: str
    enter: str
    is_ascii: bool

    def text(self, text: str) -> str:
        """Text from outside: safe, and escaped where the terminal has no letters for it."""
        made = safe(text)
        if self.is_ascii and not made.isascii():
            return made.encode("ascii", "backslashreplace").decode("ascii")
        return made


UNICODE = Glyphs(
    states={
        "stopped": "○",
        "connecting": "◌",
        "up": "●",
        "degraded": "◐",
        "backoff": "↻",
        "blocked": "✖",
        "stopping": "◍",
    },
    bars=" ▁▂▃▄▅▆▇█",
    rule="─",
    ellipsis="…",
    inward="↓",
    outward="↑",
    ascending="▲",
    descending="▼",
    arrow="→",
    marked="▎",
    dot="·",
    axis="│",
    enter="↵",
    is_ascii=False,
)

ASCII = Glyphs(
    states={
        "stopped": "-",
        "connecting": ">",
        "up": "+",
        "degraded": "~",
        "backoff": "z",
        "blocked": "X",
        "stopping": "<",
    },
    bars=" ._-:=+*#",
    rule="-",
    ellipsis=">",
    inward="in",
    outward="out",
    ascending="^",
    descending="v",
    arrow="->",
    marked="|",
    dot="-",
    axis="|",
    enter="Enter",
    is_ascii=True,
)
