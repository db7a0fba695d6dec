"""The table of all comparisons and limits, with their requirements; it measures nothing.

A row's ratio is tunnelkeeper's figure divided by the other contender's. A limit is the maximum of a
figure of tunnelkeeper alone.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable


class Better(StrEnum):
    """The direction in which a ratio is better."""

    MORE = "more"
    LESS = "less"


class Contender(StrEnum):
    """The contenders, by their names in the table."""

    TUNNELKEEPER = "tunnelkeeper"
    SSH = "ssh"
    SSH_GCM = "ssh -c aes128-gcm"
    MASTER = "ssh -O forward"  # over a ControlMaster with the cipher of SSH_GCM
    GO = "Go x/crypto/ssh"
    AUTOSSH = "autossh + ssh"
    NO_TUNNEL = "no tunnel"  # the load generators alone


@dataclass(frozen=True, slots=True)
class Row:
    """One comparison.

    measure and figure: the measure and the figure of it that is compared. required and aim: ratios;
    minimums with Better.MORE, maximums with Better.LESS.
    """

    key: str
    what: str
    measure: str
    figure: str
    unit: str
    against: Contender
    better: Better
    required: float
    aim: float

    def is_met(self, ratio: float) -> bool:
        """Return whether a ratio meets the requirement."""
        return _reaches(ratio, self.required, self.better)

    def is_aimed(self, ratio: float) -> bool:
        """Return whether a ratio meets the aim."""
        return _reaches(ratio, self.aim, self.better)


@dataclass(frozen=True, slots=True)
class Limit:
    """A figure of tunnelkeeper alone, and its maximum."""

    key: str
    what: str
    unit: str
    most: float


_MORE, _LESS = Better.MORE, Better.LESS
_SSH, _GCM, _AUTOSSH = Contender.SSH, Contender.SSH_GCM, Contender.AUTOSSH
_MASTER, _GO = Contender.MASTER, Contender.GO

ROWS = (
    Row("up-default", "one stream, up", "streams", "up", "MB/s", _SSH, _MORE, 1.3, 1.8),
    Row("down-default", "one stream, down", "streams", "down", "MB/s", _SSH, _MORE, 1.3, 1.8),
    Row("up", "one stream, up", "streams", "up", "MB/s", _GCM, _MORE, 0.85, 1.0),
    Row("down", "one stream, down", "streams", "down", "MB/s", _GCM, _MORE, 0.85, 1.0),
    Row("up-master", "one stream, up", "streams", "up", "MB/s", _MASTER, _MORE, 0.85, 1.0),
    Row("down-master", "one stream, down", "streams", "down", "MB/s", _MASTER, _MORE, 0.85, 1.0),
    Row("up-go", "one stream, up", "streams", "up", "MB/s", _GO, _MORE, 0.85, 1.0),
    Row("down-go", "one stream, down", "streams", "down", "MB/s", _GO, _MORE, 0.85, 1.0),
    Row("cpu-up", "client CPU, up", "streams", "cpu-up", "s/GB", _GCM, _LESS, 1.2, 1.0),
    Row("cpu-down", "client CPU, down", "streams", "cpu-down", "s/GB", _GCM, _LESS, 1.2, 1.0),
    Row("rtt-p50", "round trip of 64 bytes, p50", "rtt", "p50", "us", _GCM, _LESS, 1.15, 1.0),
    Row("rtt-p99", "round trip of 64 bytes, p99", "rtt", "p99", "us", _GCM, _LESS, 1.3, 1.0),
    Row("rtt-master", "round trip of 64 bytes, p50", "rtt", "p50", "us", _MASTER, _LESS, 1.15, 1.0),
    Row("rtt-go", "round trip of 64 bytes, p50", "rtt", "p50", "us", _GO, _LESS, 2.0, 1.0),
    Row("connect-1", "connections, one by one", "connect", "1", "/s", _GCM, _MORE, 0.75, 1.0),
    Row("connect-50", "connections, 50 at once", "connect", "50", "/s", _GCM, _MORE, 0.6, 1.0),
    Row(
        "connect-1-master",
        "connections, one by one",
        "connect",
        "1",
        "/s",
        _MASTER,
        _MORE,
        0.75,
        1.0,
    ),
    Row(
        "connect-50-master",
        "connections, 50 at once",
        "connect",
        "50",
        "/s",
        _MASTER,
        _MORE,
        0.6,
        1.0,
    ),
    Row("connect-1-go", "connections, one by one", "connect", "1", "/s", _GO, _MORE, 0.5, 1.0),
    Row("connect-50-go", "connections, 50 at once", "connect", "50", "/s", _GO, _MORE, 0.5, 1.0),
    Row("busy-up", "p99 beside a bulk upload", "busy", "up", "us", _GCM, _LESS, 1.0, 0.5),
    Row("busy-down", "p99 beside a bulk download", "busy", "down", "us", _GCM, _LESS, 1.0, 0.5),
    Row(
        "busy-narrow",
        "p50 beside an upload at 20 MB/s",
        "narrow-link",
        "up",
        "us",
        _GCM,
        _LESS,
        1.0,
        0.5,
    ),
    Row(
        "memory",
        "memory of a further tunnel",
        "memory",
        "pss",
        "kB",
        _AUTOSSH,
        _LESS,
        1 / 20,
        1 / 30,
    ),
    Row("startup", "tunnels brought up", "startup", "rate", "/s", _AUTOSSH, _MORE, 1.0, 2.0),
    Row("socks-up", "SOCKS, up", "socks", "up", "MB/s", _GCM, _MORE, 0.85, 1.0),
    Row("socks-down", "SOCKS, down", "socks", "down", "MB/s", _GCM, _MORE, 0.85, 1.0),
    Row("remote-up", "remote forward, up", "remote", "up", "MB/s", _GCM, _MORE, 0.85, 1.0),
    Row("remote-down", "remote forward, down", "remote", "down", "MB/s", _GCM, _MORE, 0.85, 1.0),
    Row("jump-up", "through a jump host, up", "jump", "up", "MB/s", _GCM, _MORE, 0.85, 1.0),
    Row("jump-down", "through a jump host, down", "jump", "down", "MB/s", _GCM, _MORE, 0.85, 1.0),
    Row("slow-link", "100 ms away, down", "slow-link", "down", "MB/s", _SSH, _MORE, 2.0, 6.0),
)
"""Every comparison, in the order of the table."""

LIMITS = (
    Limit("channels", "open connections on one tunnel: memory above idle", "MB", 100),
    Limit(
        "stuck-readers", "readers that stop for good, here and there: memory above idle", "MB", 100
    ),
    Limit("early-data", "data sent before a channel opens: memory above idle", "MB", 100),
    Limit("churn-memory", "connections opened and closed: memory that stays", "MB", 10),
    Limit("churn-files", "connections opened and closed: open files that stay", "files", 0),
    Limit("idle", "CPU of idle tunnels", "% of a core", 3),
    Limit("start-command", "CPU of a command that asks the supervisor", "ms", 150),
    Limit("start-tunnel", "CPU of a start until its tunnel carries data", "ms", 650),
)
"""Every limit, in the order of the table."""

KEYS = tuple(entry.key for entry in (*ROWS, *LIMITS))


def without(contender: Contender, wanted: Iterable[str]) -> list[str]:
    """Return the wanted keys without those of rows against a contender."""
    dropped = {row.key for row in ROWS if row.against is contender}
    return [key for key in wanted if key not in dropped]


def _reaches(ratio: float, goal: float, better: Better) -> bool:
    return ratio >= goal if better is Better.MORE else ratio <= goal
