"""What the control protocol's methods take and give, and the events; the envelope is not here.

Results are objects, so that fields can be added. A method's unknown parameter is refused: a caller
of a newer version must not believe that it was heeded.
"""

from __future__ import annotations

from typing import Annotated

import msgspec

from tunnelkeeper.core.snapshot import LogRecord, TunnelSnapshot  # noqa: TC001  msgspec reads them

LOG_LINES_LIMIT = 100_000


class NoParams(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The parameters of version, reload, subscribe and shutdown."""


class StatusParams(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """names: None for every tunnel."""

    names: list[str] | None = None


class Selection(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The tunnels that start, stop and restart are about: these, and the group's."""

    names: list[str] = []
    group: str | None = None


class LogsParams(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """name: None for all tunnels and the supervisor itself. lines: of the newest, how many."""

    name: str | None = None
    lines: Annotated[int, msgspec.Meta(ge=0, le=LOG_LINES_LIMIT)] = 100


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


class LogEvent(msgspec.Struct, frozen=True, tag_field="type", tag="log"):
    """Something happened that is worth a line."""

    record: LogRecord


Event = TunnelEvent | RemovedEvent | LogEvent
