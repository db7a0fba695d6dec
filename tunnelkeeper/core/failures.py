"""Why a tunnel is not up: causes, and the failure that reports one to the user. It does no I/O.

Every exception at an I/O edge is converted to one of these values exactly once.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from errno import EAGAIN, EMFILE, ENFILE, ENOBUFS, ENOMEM


class Cause(StrEnum):
    """The kind of a failure, as shown in status and logs and used by scripts."""

    DNS = "dns"
    UNREACHABLE = "unreachable"
    REFUSED = "refused"
    TIMEOUT = "timeout"
    LOST = "lost"
    PEER_DEAD = "peer_dead"
    PROXY = "proxy"
    JUMP = "jump"
    KEY_EXCHANGE = "key_exchange"
    HOST_KEY_UNKNOWN = "host_key_unknown"
    HOST_KEY_CHANGED = "host_key_changed"
    AUTH = "auth"
    ANSWER_NEEDED = "answer_needed"
    PROTOCOL = "protocol"
    SSH_CONFIG = "ssh_config"
    FORWARD_DENIED = "forward_denied"
    REMOTE_PORT_BUSY = "remote_port_busy"
    LOCAL_PORT_BUSY = "local_port_busy"
    CHECK_FAILED = "check_failed"
    LOCAL_RESOURCES = "local_resources"
    TOO_MANY_ATTEMPTS = "too_many_attempts"


NEEDS_USER_CAUSES = frozenset(
    {
        Cause.KEY_EXCHANGE,
        Cause.HOST_KEY_UNKNOWN,
        Cause.HOST_KEY_CHANGED,
        Cause.AUTH,
        Cause.ANSWER_NEEDED,
        Cause.SSH_CONFIG,
        Cause.FORWARD_DENIED,
    }
)
"""Causes that only a user can resolve. Frequent retries would not help and would burden the server,
so the tunnel is blocked, or its forward is retried as rarely as a blocked tunnel."""

NO_HANDSHAKE_CAUSES = frozenset(
    {Cause.DNS, Cause.UNREACHABLE, Cause.REFUSED, Cause.LOCAL_RESOURCES}
)
"""Causes that cost the server no handshake. Frequent retries are cheap, and the tunnel soon uses a
server that returns."""


EXHAUSTION_ERRNOS = frozenset({EMFILE, ENFILE, ENOMEM, ENOBUFS, EAGAIN})
"""The errors of a machine that is out of descriptors, memory or processes. They are temporary, and
unrelated to what could not be opened."""


@dataclass(frozen=True, slots=True)
class AgentKeys:
    """The keys that an agent listed for a login. keys: None if it did not answer."""

    socket: str
    keys: frozenset[bytes] | None


@dataclass(frozen=True, slots=True)
class Failure:
    """One failure.

    hop: the host of the chain where it happened, as `user@host:port`; empty if none was involved.
    message: what failed, made safe by `printable`. hint: what to do about it, or empty.

    The tunnel retries immediately when something changes that the failure depended on:

    files: the key and known_hosts files that were used, and those that were missing.
    agent: the keys of the agent, if it was asked.
    certificate_validity: the Unix times between which a certificate that was refused is valid, if
    the wall clock was outside them.

    question: the id of the question that a person must answer first, or empty. The tunnel waits for
    the answer, and tries nothing by itself.

    source_failed: a stored answer could not be fetched this time, so a tunnel that waits for an
    answer also tries again by itself, as rarely as other blocked tunnels do.
    """

    cause: Cause
    message: str
    hop: str = ""
    hint: str = ""
    files: tuple[str, ...] = ()
    agent: AgentKeys | None = field(default=None, compare=False, repr=False)
    certificate_validity: tuple[float, float] | None = field(default=None, compare=False)
    question: str = ""
    source_failed: bool = False

    @property
    def needs_user(self) -> bool:
        """Whether only a user can resolve this."""
        return self.cause in NEEDS_USER_CAUSES

    def __str__(self) -> str:
        where = f"{self.hop}: " if self.hop else ""
        return f"{self.cause}: {where}{self.message}"


class FailureError(Exception):
    """Raised to carry a Failure to the code that reports it."""

    def __init__(self, failure: Failure) -> None:
        super().__init__(str(failure))
        self.failure = failure


def local_resources_failure(message: str, hop: str = "") -> Failure:
    """Return the failure of an operation that exhausted this machine's resources."""
    hint = (
        "raise the limit of open files (LimitNOFILE=, ulimit -n), or close programs that hold many"
    )
    return Failure(Cause.LOCAL_RESOURCES, f"this machine is out of resources: {message}", hop, hint)
