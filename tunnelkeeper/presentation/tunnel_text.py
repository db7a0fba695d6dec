"""The words for a tunnel: what its row in `status` says, its forwards, and why it is not up.

Pure: it measures no terminal and colours nothing. Text of other machines is made printable here,
whatever the supervisor did with it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from tunnelkeeper.core.snapshot import ReplacementSnapshot
from tunnelkeeper.core.text import printable, with_hint
from tunnelkeeper.presentation.formatting import ago, size, until

if TYPE_CHECKING:
    from datetime import datetime

    from tunnelkeeper.core.snapshot import FailureSnapshot, ForwardSnapshot, TunnelSnapshot

HEADERS = ("NAME", "STATE", "HOST", "FORWARDS", "SINCE", "IN / OUT", "LAST FAILURE")

REASON_LIMIT = 10_000
"""Characters of a reason: none is cut that the supervisor let through."""

_SSH_PORT = ":22"
_LOOPBACK = ("localhost:", "127.0.0.1:", "[::1]:")
_CONNECTED = frozenset({"up", "degraded"})
_LETTERS = {"local": "L", "remote": "R", "socks": "S"}


@dataclass(frozen=True, slots=True)
class Row:
    """One tunnel, a text for each of HEADERS."""

    name: str
    state: str
    host: str
    forwards: str
    since: str
    traffic: str
    failure: str


def row(tunnel: TunnelSnapshot, now: datetime) -> Row:
    """What a tunnel's row says; forwards and what is under way stand on lines of their own.

    ssh's own port goes without saying. now: for "since" and for the countdown to the next attempt.
    """
    connected = tunnel.state in _CONNECTED
    return Row(
        name=printable(tunnel.name),
        state="\n".join((tunnel.state, *_under_way(tunnel))),
        host=host_chain_text(tunnel),
        forwards="\n".join(_with_state(forward, connected) for forward in tunnel.forwards),
        since=ago(tunnel.since, now),
        traffic=f"{size(tunnel.bytes_in)} / {size(tunnel.bytes_out)}",
        failure=short_reason(tunnel, now),
    )


def host_chain_text(tunnel: TunnelSnapshot) -> str:
    """The server and the jump hosts before it: `user@host via one, two`; without ssh's own port."""
    host, *jumps = (host.removesuffix(_SSH_PORT) for host in (tunnel.host, *tunnel.jump))
    return printable(f"{host} via {', '.join(jumps)}" if jumps else host)


def forward_text(forward: ForwardSnapshot) -> str:
    """A forward in short: `L 5432 -> db:5432`, `R 2222 -> localhost:22`, `S 1080`.

    A port alone listens on loopback. A remote forward without a target is a SOCKS proxy there.
    """
    listen = forward.listen
    for loopback in _LOOPBACK:
        listen = listen.removeprefix(loopback)
    text = f"{_LETTERS[forward.kind]} {listen}"
    if forward.connect is not None:
        text += f" -> {forward.connect}"
    elif forward.kind == "remote":
        text += " (socks)"
    return printable(text)


def reasons(tunnel: TunnelSnapshot) -> list[str]:
    """Why a tunnel is not up, or not replaced: a line for each failure, in full.

    `db: backoff: refused: user@host:22: the message (the hint)`
    """
    if tunnel.state == "up":
        return _setback(tunnel)
    failed = [(f, f.failure) for f in tunnel.forwards if f.failure is not None]
    found = [_reason(tunnel, failure, forward_text(forward)) for forward, failure in failed]
    own = tunnel.failure
    # A degraded tunnel's failure is that of one of its forwards, and is told with it.
    if own is not None and own.message not in [failure.message for _, failure in failed]:
        found.insert(0, _reason(tunnel, own, own.hop))
    return found + _setback(tunnel)


def describe(tunnel: TunnelSnapshot) -> list[str]:
    """The reasons why a tunnel is not up, or where it stands when nothing has failed yet."""
    where = f": {tunnel.progress.hop}: {tunnel.progress.step}" if tunnel.progress else ""
    return reasons(tunnel) or [printable(f"{tunnel.name}: {tunnel.state}{where}")]


def _reason(tunnel: TunnelSnapshot, failure: FailureSnapshot, where: str) -> str:
    place = f"{where}: " if where else ""
    text = f"{tunnel.name}: {tunnel.state}: {failure.cause}: {place}{failure.message}"
    return printable(with_hint(text, failure.hint), REASON_LIMIT)


def _setback(tunnel: TunnelSnapshot) -> list[str]:
    """Why the connection, which goes on, could not be replaced by another."""
    failure = tunnel.replacement.failure if tunnel.replacement else None
    if failure is None:
        return []
    place = f"{failure.hop}: " if failure.hop else ""
    text = f"{tunnel.name}: not replaced: {failure.cause}: {place}{failure.message}"
    return [printable(with_hint(text, failure.hint), REASON_LIMIT)]


def _under_way(tunnel: TunnelSnapshot) -> list[str]:
    """How far a connection is, or the replacement of one."""
    if tunnel.state == "connecting" and tunnel.progress:
        return [tunnel.progress.step]
    return [replacement_text(tunnel.replacement)] if tunnel.replacement else []


def replacement_text(replacement: ReplacementSnapshot) -> str:
    """How far the replacement of a connection is, in a word or two."""
    match replacement:
        case ReplacementSnapshot(state="connecting", progress=progress):
            return f"replacing: {progress.step}" if progress else "replacing"
        case ReplacementSnapshot(state="draining", connections=left):
            return f"draining {left}"
    return "not replaced"


def _with_state(forward: ForwardSnapshot, connected: bool) -> str:
    # While the tunnel is away, a forward that waits for it goes without saying.
    say = forward.state == "failed" or (connected and forward.state == "pending")
    return forward_text(forward) + (f" ({forward.state})" if say else "")


def first_failure(tunnel: TunnelSnapshot) -> FailureSnapshot | None:
    """The failure that stands for all of a tunnel that is not up: its own before its forwards'."""
    if tunnel.state == "up":
        return None
    failures = (tunnel.failure, *(forward.failure for forward in tunnel.forwards))
    return next((failure for failure in failures if failure is not None), None)


def short_reason(tunnel: TunnelSnapshot, now: datetime) -> str:
    """The cause in a word, how often, and when it is tried again."""
    if tunnel.state == "up":
        return ""
    failure = first_failure(tunnel)
    parts = [printable(failure.cause)] if failure else []
    if failure and tunnel.state in {"backoff", "blocked"} and tunnel.attempt > 1:
        parts.append(f"{tunnel.attempt} times")
    if tunnel.retry_at is not None:
        parts.append(f"retry in {until(tunnel.retry_at, now)}")
    return ", ".join(parts)
