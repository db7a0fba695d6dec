"""Why a tunnel is not up: causes, and the failure that carries one to the person who must know.

Every exception of the edges becomes one of these values exactly once; nothing here does I/O.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from errno import EAGAIN, EMFILE, ENFILE, ENOBUFS, ENOMEM


class Cause(StrEnum):
    """What kind of trouble a failure is; the words of status, logs and scripts."""

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
    SECRET_NEEDED = "secret_needed"  # noqa: S105  a word of the status, not a secret
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
        Cause.SECRET_NEEDED,
        Cause.SSH_CONFIG,
        Cause.FORWARD_DENIED,
    }
)
"""Trying again soon cannot help and would hammer the server: the tunnel is blocked, or a forward
of it is tried as seldom as a blocked tunnel."""

NO_HANDSHAKE_CAUSES = frozenset(
    {Cause.DNS, Cause.UNREACHABLE, Cause.REFUSED, Cause.LOCAL_RESOURCES}
)
"""No handshake was spent, so trying often is no burden and a server that returns is used soon."""


EXHAUSTION_ERRNOS = frozenset({EMFILE, ENFILE, ENOMEM, ENOBUFS, EAGAIN})
"""The errors of a machine that is out of descriptors, memory or processes: nobody is to blame for
what could not be opened, and it passes."""


@dataclass(frozen=True, slots=True)
class Failure:
    """One thing that went wrong.

    hop: the host of the chain it happened at, as `user@host:port`; empty where none took part.
    message: what was said, made safe by `printable`. hint: what to do about it, or empty.
    files: the key and known_hosts files that were read and did not do; when one of them changes,
    trying again is worth it at once.
    """

    cause: Cause
    message: str
    hop: str = ""
    hint: str = ""
    files: tuple[str, ...] = ()

    @property
    def needs_user(self) -> bool:
        """Whether only a person's act can mend this."""
        return self.cause in NEEDS_USER_CAUSES

    def __str__(self) -> str:
        where = f"{self.hop}: " if self.hop else ""
        return f"{self.cause}: {where}{self.message}"


class FailureError(Exception):
    """Carries a Failure up to the code that reports it."""

    def __init__(self, failure: Failure) -> None:
        super().__init__(str(failure))
        self.failure = failure


def local_resources_failure(message: str, hop: str = "") -> Failure:
    """The failure of whatever this machine had nothing left for. words: its own."""
    hint = "raise the limit of open files (LimitNOFILE=, ulimit -n), or end what holds so many"
    return Failure(Cause.LOCAL_RESOURCES, f"this machine has no more to give: {message}", hop, hint)
