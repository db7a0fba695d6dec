"""Parameters, results and events of the control protocol. The envelope is control.jsonrpc.

Results are objects, so that fields can be added. A method refuses unknown parameters, so that a
caller of a newer version does not assume that they took effect.
"""

from __future__ import annotations

from typing import Annotated

import msgspec

from tunnelkeeper.core.snapshot import (  # noqa: TC001  msgspec reads them
    CheckSnapshot,
    ClientFailureSnapshot,
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
    """The tunnels to start, stop or restart: these, and those of the group."""

    names: list[str] = []
    group: str | None = None


class RestartParams(Selection, frozen=True, forbid_unknown_fields=True):
    """graceful: connect first, and close the old connection afterwards."""

    graceful: bool = False


class LogsParams(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """name: None for all tunnels and the supervisor itself. lines: the number of newest lines."""

    name: str | None = None
    lines: Annotated[int, msgspec.Meta(ge=0, le=LOG_LINES_LIMIT)] = 100


class SubscribeParams(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """counters_every: seconds between `counters` events; None for no such events."""

    counters_every: Annotated[float, msgspec.Meta(ge=0.1, le=3600)] | None = None


class ConnectParams(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """name: a tunnel. target: host:port as seen from its server, or a socket path there."""

    name: str
    target: str


class Version(msgspec.Struct, frozen=True):
    """The result of `version`: the program's version and process id."""

    version: str
    pid: int


class Affected(msgspec.Struct, frozen=True):
    """The result of `start`, `stop` and `restart`."""

    names: list[str]


class Changes(msgspec.Struct, frozen=True):
    """The result of `reload`: a sentence for each change."""

    changes: list[str]


class LogLines(msgspec.Struct, frozen=True):
    """The result of `logs`, newest last."""

    records: list[LogRecord]


class Done(msgspec.Struct, frozen=True):
    """The result of `subscribe` and `shutdown`."""


class Connected(msgspec.Struct, frozen=True):
    """The result of `connect`: the bytes that follow come from the target."""

    connected: bool = True


class TunnelEvent(msgspec.Struct, frozen=True, tag_field="type", tag="tunnel"):
    """A tunnel's state, a forward's state or the progress of a connection changed."""

    tunnel: TunnelSnapshot


class RemovedEvent(msgspec.Struct, frozen=True, tag_field="type", tag="removed"):
    """A reload removed a tunnel."""

    name: str


class ForwardCounters(msgspec.Struct, frozen=True):
    """Values of a forward that change without a change of its state, such as its last check."""

    bytes_in: int
    bytes_out: int
    connections: int
    connections_total: int
    check: CheckSnapshot | None = None
    client_failure: ClientFailureSnapshot | None = None


class TunnelCounters(msgspec.Struct, frozen=True):
    """Values of a tunnel that change without a change of its state.

    rtts_ms: the round trip of each hop. Both lists are in the order of the tunnel's snapshot. A
    list of another length belongs to a tunnel that has changed since; its event follows.
    """

    name: str
    rtts_ms: list[float | None]
    forwards: list[ForwardCounters]


class CountersEvent(msgspec.Struct, frozen=True, tag_field="type", tag="counters"):
    """The supervisor's process, and the tunnels whose counters or round trips changed."""

    supervisor: SupervisorSnapshot
    tunnels: list[TunnelCounters]


class LogEvent(msgspec.Struct, frozen=True, tag_field="type", tag="log"):
    """A new line of the log."""

    record: LogRecord


Event = TunnelEvent | RemovedEvent | CountersEvent | LogEvent
