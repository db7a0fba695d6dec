"""The result of `status`, as values that cross the control socket. It reads no state itself.

The fields and their order are those of `status --json`. Fields are only ever added. Times are
ISO 8601 in UTC. `bytes_out` was sent over SSH, `bytes_in` was received.
"""

from __future__ import annotations

from typing import Literal

import msgspec

from tunnelkeeper.core.message import Message

StateName = Literal["stopped", "connecting", "up", "degraded", "backoff", "blocked", "stopping"]
ForwardState = Literal["listening", "pending", "failed"]
Step = Literal[
    "ssh_config", "resolve", "connect", "key_exchange", "host_key", "login", "forwards", "checks"
]


class FailureSnapshot(msgspec.Struct, frozen=True):
    """A failure and when it happened. question: the id of the question that must be answered."""

    cause: str
    hop: str
    message: str
    hint: str
    at: str
    question: str = ""


class CheckSnapshot(msgspec.Struct, frozen=True):
    """The last end-to-end check of a forward. at is null before the first.

    ok: null while nothing is known: before the first check, or if the server does not permit it.
    ms: the duration of a successful check. message: why it failed or was not possible.
    """

    kind: Literal["tcp", "http"]
    ok: bool | None = None
    at: str | None = None
    ms: float | None = None
    message: str = ""


class ClientFailureSnapshot(msgspec.Struct, frozen=True):
    """The last client of a forward that could not be served.

    count: the clients in a row that failed. recovered: whether one was served since.
    """

    message: str
    at: str
    count: int
    recovered: bool = False


class ForwardSnapshot(msgspec.Struct, frozen=True):
    """One forward. connect is None for SOCKS, where each client names its target.

    listen has the port that is bound: for a remote port 0, the one the server chose.
    A forward is failed if it does not listen, if its check fails, or if the server forbids its
    connections. check is None if none is configured, client_failure if no client has failed.
    """

    kind: Literal["local", "remote", "socks"]
    listen: str
    connect: str | None
    state: ForwardState
    failure: FailureSnapshot | None = None
    bytes_in: int = 0
    bytes_out: int = 0
    connections: int = 0
    connections_total: int = 0
    check: CheckSnapshot | None = None
    client_failure: ClientFailureSnapshot | None = None


class HopSnapshot(msgspec.Struct, frozen=True):
    """One host of the chain, in connection order. rtt_ms: of its last keepalive.

    answers_keepalives: null until it is known. If false, refused channels replace keepalives.
    unused_timeout: the seconds after which the server closes a connection without channels, if it
    is known to do so; the connection is then kept in use. key_exchange: the method of the last key
    exchange. post_quantum: whether it withstands a quantum computer that records today's traffic.
    """

    host: str
    connected: bool
    rtt_ms: float | None = None
    answers_keepalives: bool | None = None
    unused_timeout: float | None = None
    key_exchange: str | None = None
    post_quantum: bool | None = None


class ProgressSnapshot(msgspec.Struct, frozen=True):
    """The step that a connecting tunnel has reached.

    waiting: what a person must do for the login to go on, such as "waiting for a touch", or empty.
    """

    hop: str
    step: Step
    waiting: str = ""


class ReplacementSnapshot(msgspec.Struct, frozen=True):
    """The replacement of a connected tunnel.

    connecting: `attempt` is in progress and has reached `progress`. backoff: the last attempt
    failed, and the next one begins at retry_at, if any. draining: the replacement is in use;
    `connections` are still open on the previous connection, which closes by closes_at.
    """

    state: Literal["connecting", "backoff", "draining"]
    attempt: int = 0
    progress: ProgressSnapshot | None = None
    retry_at: str | None = None
    failure: FailureSnapshot | None = None
    connections: int = 0
    closes_at: str | None = None


class TunnelSnapshot(msgspec.Struct, frozen=True):
    """One tunnel. failure is the last one while the tunnel is not up.

    since: when it came up, went away or was stopped; attempts and waits in between do not count.
    wanted: whether it should be up. attempt: the number of the current attempt, or of consecutive
    failed ones; 0 after the gate time. ad_hoc: whether a command opened it and no config file has
    it; it then ends at ends_at, if that is not null.
    """

    name: str
    state: StateName
    wanted: bool
    since: str
    host: str
    jump: list[str]
    groups: list[str]
    attempt: int
    retry_at: str | None
    restarts: int
    rtt_ms: float | None
    cipher: str | None
    bytes_in: int
    bytes_out: int
    connections: int
    connections_total: int
    failure: FailureSnapshot | None
    forwards: list[ForwardSnapshot]
    progress: ProgressSnapshot | None = None
    hops: list[HopSnapshot] = []
    replacement: ReplacementSnapshot | None = None
    ad_hoc: bool = False
    ends_at: str | None = None


class SupervisorSnapshot(msgspec.Struct, frozen=True):
    """The process that holds the tunnels.

    config_changed: whether the config file has changed since it was read; `reload` applies it.
    """

    version: str
    pid: int
    config: str
    started_at: str
    memory_bytes: int
    cpu_seconds: float
    open_files: int
    config_changed: bool = False


class PromptSnapshot(msgspec.Struct, frozen=True):
    """One prompt of a question. echo: whether the answer may be shown while it is typed."""

    text: str
    echo: bool = False


class HostKeySnapshot(msgspec.Struct, frozen=True):
    """An unknown host key. Its fields are those of core.questions.HostKeyDetails."""

    algorithm: str
    fingerprint: str
    art: str
    files: list[str]
    other_names: list[str]


class QuestionSnapshot(msgspec.Struct, frozen=True):
    """A question that only a person can answer. Its fields are those of core.questions.Question.

    about: the key file, or the hop. live: whether a login waits for the answer now, for another
    seconds_left. prompts: one answer is expected for each; empty if no answer is accepted now.
    """

    id: str
    kind: Literal["passphrase", "password", "codes", "host_key", "touch"]
    about: str
    text: str
    prompts: list[PromptSnapshot]
    tunnels: list[str]
    attempt: int
    live: bool
    seconds_left: float | None = None
    problem: str = ""
    claimed: bool = False
    host_key: HostKeySnapshot | None = None


class StatusSnapshot(msgspec.Struct, frozen=True):
    """The whole result of `status`."""

    supervisor: SupervisorSnapshot
    tunnels: list[TunnelSnapshot]
    questions: list[QuestionSnapshot] = []


class LogRecord(msgspec.Struct, frozen=True):
    """One record of the log. tunnel is empty for records about the supervisor.

    at is empty for a line that was found in a log file and has no time. hint: what to do about it,
    or empty.
    """

    at: str
    level: Literal["debug", "info", "warning", "error"]
    tunnel: str
    message: str
    hint: str = ""

    @property
    def lines(self) -> list[str]:
        """The message and the hint, each on a line, without time and level.

        Each line names the tunnel, so that a search for its name finds both.
        """
        about = f"{self.tunnel}: " if self.tunnel else ""
        return [about + line for line in Message(self.message, self.hint).lines]
