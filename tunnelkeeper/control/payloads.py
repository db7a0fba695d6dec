"""Parameters, results and events of the control protocol. The envelope is control.jsonrpc.

Results are objects, so that fields can be added. A method refuses unknown parameters, so that a
caller of a newer version does not assume that they took effect.
"""

from __future__ import annotations

from typing import Annotated

import msgspec

from tunnelkeeper.core.questions import MAX_ANSWER_SIZE, MAX_PROMPTS
from tunnelkeeper.core.snapshot import (  # noqa: TC001  msgspec reads them
    CheckSnapshot,
    ClientFailureSnapshot,
    LogRecord,
    QuestionSnapshot,
    SupervisorSnapshot,
    TunnelSnapshot,
)

LOG_LINES_LIMIT = 100_000

MAX_UNLOCK_SECONDS = 366 * 86400
MAX_OPEN_SECONDS = 366 * 86400


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


class AttendParams(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """names: the tunnels whose questions a person at this client answers; None for all."""

    names: list[str] | None = None


class QuestionParams(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The id of a question, for `claim` and `decline`."""

    id: str


class UnlockParams(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What to unlock: a key file, or the keys of these tunnels; with neither, those of all tunnels.

    for_seconds: for how long the keys stay in memory; null for no limit.
    """

    key: str | None = None
    names: list[str] = []
    for_seconds: Annotated[float, msgspec.Meta(ge=1, le=MAX_UNLOCK_SECONDS)] | None = None


class OpenParams(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A tunnel to open that is in no config file.

    table: as the file would have it. name: null for one made from the host. for_seconds: when it
    ends; null for no such time. bound_to_connection: whether it ends with this connection.
    """

    table: dict[str, object]
    name: str | None = None
    for_seconds: Annotated[float, msgspec.Meta(ge=1, le=MAX_OPEN_SECONDS)] | None = None
    bound_to_connection: bool = False


class TableParams(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The name of an ad-hoc tunnel, for `table`."""

    name: str


class AnswerParams(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """lengths: the bytes of each answer. They follow the line, one after the other."""

    id: str
    nonce: str
    lengths: Annotated[
        list[Annotated[int, msgspec.Meta(ge=0, le=MAX_ANSWER_SIZE)]],
        msgspec.Meta(max_length=MAX_PROMPTS),
    ]


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


class Opened(msgspec.Struct, frozen=True):
    """The result of `open`: the name of the tunnel, and what is probably a mistake in its table."""

    name: str
    warnings: list[str] = []


class Table(msgspec.Struct, frozen=True):
    """The result of `table`: the table that an ad-hoc tunnel was opened with."""

    table: dict[str, object]


class Done(msgspec.Struct, frozen=True):
    """The result of `subscribe` and `shutdown`."""


class Connected(msgspec.Struct, frozen=True):
    """The result of `connect`: the bytes that follow come from the target."""

    connected: bool = True


class Questions(msgspec.Struct, frozen=True):
    """The result of `questions`: the open ones, oldest first."""

    questions: list[QuestionSnapshot]


class Claimed(msgspec.Struct, frozen=True):
    """The result of `claim`: the question as it is asked now, and the nonce for its answer."""

    question: QuestionSnapshot
    nonce: str


class Answered(msgspec.Struct, frozen=True):
    """The result of `answer`. accepted: null if the server decides next; an event follows.

    problem: why the answer does not serve; then the question is asked again.
    """

    accepted: bool | None
    problem: str = ""


class Unlocking(msgspec.Struct, frozen=True):
    """The result of `unlock`: the questions to answer; none if nothing is locked.

    problems: why other keys of the tunnels cannot be unlocked, a sentence each.
    """

    questions: list[str]
    problems: list[str] = []


class Locked(msgspec.Struct, frozen=True):
    """The result of `lock`: how many decrypted keys and how many passwords were forgotten."""

    keys: int
    passwords: int


class TunnelEvent(msgspec.Struct, frozen=True, tag_field="type", tag="tunnel"):
    """A tunnel's state, a forward's state or the progress of a connection changed."""

    tunnel: TunnelSnapshot


class RemovedEvent(msgspec.Struct, frozen=True, tag_field="type", tag="removed"):
    """A tunnel is gone: a reload removed it, or it was an ad-hoc tunnel that has ended."""

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


class QuestionEvent(msgspec.Struct, frozen=True, tag_field="type", tag="question"):
    """A question is new or was asked again, or other tunnels wait for it."""

    question: QuestionSnapshot


class QuestionClosedEvent(msgspec.Struct, frozen=True, tag_field="type", tag="question_closed"):
    """A question is closed. outcome: `answered` or `not_needed`."""

    id: str
    outcome: str


Event = TunnelEvent | RemovedEvent | CountersEvent | LogEvent | QuestionEvent | QuestionClosedEvent
