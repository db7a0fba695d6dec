"""What `trust` reports about the host key of each hop."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tunnelkeeper.core.questions import HostKeyDetails


class Outcome(StrEnum):
    """What became of the key of one hop."""

    KNOWN = "known"
    ACCEPTED = "accepted"
    REFUSED = "refused"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class HopKey:
    """The host key of one hop. message: what was saved, or why the key is not accepted."""

    hop: str
    outcome: Outcome
    key: HostKeyDetails
    message: str = ""
