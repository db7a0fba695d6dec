"""What the control protocol's methods take and give, and the events; the envelope is not here.

Results are objects, so that fields can be added. A method's unknown parameter is refused: a caller
of a newer version must not believe that it was heeded.
"""

from __future__ import annotations

from typing import Annotated

import msgspec

from tunnelkeeper.core.snapshot import (  # noqa: TC001  msgspec reads them
    CheckSnapshot,
    LogRecord,
    SupervisorSnapshot,
    TunnelSnapshot,
)

LOG_LINES_LIMIT = 100_000


class NoParams(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The parameters of version, reload and shutdown."""


class StatusParams(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """names: None for every tunnel."""

    names: list[str] | None = None


class Selection(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The tunnels that start, stop and restart are about: these, and the group's."""

    names: list[str] = []
    group: str | None = None


class RestartParams(Selection, frozen=True, forbid_unknown_fields=True):
    """graceful: put a new connection in the place of a live one before that is closed."""

    graceful: bool = False


class LogsParams(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """name: None for all tunnels and the supervisor itself. lines: of the newest, how many."""

    name: str | None = None
    lines: Annotated[int, msgspec.Meta(ge=0, le=LOG_LINES_LIMIT)] = 100


class SubscribeParams(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """counters_every: seconds from one `counters` event to the next; None for none at all."""

    counters_every: Annotated[float, msgspec.Meta(ge=0.1, le=3600)] | None = None


class ConnectParams(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """name: a tunnel. target: host:port as seen from its server, or a socket's path there."""

    name: str
    target: str


class Version(msgspec.Struct, frozen=True):
    """The result of `version`: the supervisor's, and its process id."""

    version: str
    pid: int


class Affected(msgspec.Struct, frozen=True):
    """The result of `start`, `stop` and `restart`."""

    names: list[str]


class Changes(msgspec.Struct, frozen=True):
    """The result of `reload`: a sentence for each thing that changed."""

    changes: list[str]


class LogLines(msgspec.Struct, frozen=True):
    """The result of `logs`, newest last."""

    records: list[LogRecord]


class Done(msgspec.Struct, frozen=True):
    """The result of `subscribe` and `shutdown`."""


class Connected(msgspec.Struct, frozen=True):
    """The result of `connect`: from the next byte on, the connection is the target's."""

    connected: bool = True


class TunnelEvent(msgspec.Struct, frozen=True, tag_field="type", tag="tunnel"):
    """A tunnel's state, a forward's state or the progress of a connection changed."""

    tunnel: TunnelSnapshot


class RemovedEvent(msgspec.Struct, frozen=True, tag_field="type", tag="removed"):
    """A reload took a tunnel away."""

    name: str


class ForwardCounters(msgspec.Struct, frozen=True):
    """What changes of a forward without its state changing: a check that passes again, too."""

    bytes_in: int
    bytes_out: int
    connections: int
    connections_total: int
    check: CheckSnapshot | None = None


class TunnelCounters(msgspec.Struct, frozen=True):
    """What changes of a tunnel without its state changing.

    rtts_ms: of each hop. Both lists are in the order of the tunnel's snapshot; one of another
    length is about a tunnel that has changed since, and whose event is under way.
    """

    name: str
    rtts_ms: list[float | None]
    forwards: list[ForwardCounters]


class CountersEvent(msgspec.Struct, frozen=True, tag_field="type", tag="counters"):
    """The supervisor's process now, and the tunnels whose counters or round trips changed."""

    supervisor: SupervisorSnapshot
    tunnels: list[TunnelCounters]


class LogEvent(msgspec.Struct, frozen=True, tag_field="type", tag="log"):
    """Something happened that is worth a line."""

    record: LogRecord


Event = TunnelEvent | RemovedEvent | CountersEvent | LogEvent
