"""Text for tunnels: their hosts and forwards, and why a tunnel is not up.

Pure: it measures no terminal and uses no colours. Text from other machines is made printable here,
in case the supervisor did not do it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from tunnelkeeper.core.message import Message
from tunnelkeeper.core.snapshot import ProgressSnapshot, ReplacementSnapshot
from tunnelkeeper.core.text import printable
from tunnelkeeper.presentation.formatting import format_duration, time_since, time_until

if TYPE_CHECKING:
    from datetime import datetime

    from tunnelkeeper.core.snapshot import FailureSnapshot, ForwardSnapshot, TunnelSnapshot

REASON_LIMIT = 10_000
"""Characters of a reason. The supervisor has cut it already, so none is cut here."""

_SSH_PORT = ":22"
_LOOPBACK = ("localhost:", "127.0.0.1:", "[::1]:")
CONNECTED = frozenset({"up", "degraded"})
_LETTERS = {"local": "L", "remote": "R", "socks": "S"}


def format_host_chain(tunnel: TunnelSnapshot) -> str:
    """Return the server and its jump hosts: `user@host via one, two`, without port 22."""
    host, *jumps = (host.removesuffix(_SSH_PORT) for host in (tunnel.host, *tunnel.jump))
    return printable(f"{host} via {', '.join(jumps)}" if jumps else host)


def format_forward(forward: ForwardSnapshot) -> str:
    """Return a forward in short: `L 5432 -> db:5432`, `R 2222 -> localhost:22`, `S 1080`.

    A port alone listens on loopback. A remote forward without a target is a SOCKS proxy.
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


@dataclass(frozen=True, slots=True)
class FailureText:
    """One failure of a tunnel in full, each part safe to print.

    state: the tunnel's, or "not replaced". where: the hop or the forward, or empty. hint: what to
    do about it, or empty.
    """

    name: str
    state: str
    cause: str
    where: str
    text: str
    hint: str

    @property
    def message(self) -> Message:
        """The failure as `db: backoff: refused: user@host:22: the text`, and its hint."""
        parts = (self.name, self.state, self.cause, self.where, self.text)
        return Message(": ".join(filter(None, parts)), self.hint)


def failure_texts(tunnel: TunnelSnapshot) -> list[FailureText]:
    """Return why a tunnel is not up or not replaced: every failure, in full."""
    if tunnel.state == "up":
        return _replacement_failures(tunnel)
    failed = [(f, f.failure) for f in tunnel.forwards if f.failure is not None]
    found = [
        _failure_text(tunnel, tunnel.state, failure, format_forward(forward))
        for forward, failure in failed
    ]
    own = tunnel.failure
    # A degraded tunnel's failure is that of one of its forwards, so it is listed already.
    if own is not None and own.message not in [failure.message for _, failure in failed]:
        found.insert(0, _failure_text(tunnel, tunnel.state, own, own.hop))
    return found + _replacement_failures(tunnel)


def keepalive_lines(tunnel: TunnelSnapshot) -> list[str]:
    """Return a line for each connected server that does not answer keepalives."""
    return [
        printable(f"{tunnel.name}: {hop.host} does not answer keepalives; it is probed otherwise")
        for hop in tunnel.hops
        if hop.connected and hop.answers_keepalives is False
    ]


def unused_timeout_lines(tunnel: TunnelSnapshot) -> list[str]:
    """Return a line for each server that closes connections without channels."""
    return [
        printable(
            f"{tunnel.name}: {hop.host} closes unused connections after"
            f" {format_duration(hop.unused_timeout)}; this one is kept in use"
        )
        for hop in tunnel.hops
        if hop.connected and hop.unused_timeout is not None
    ]


def client_failure_lines(tunnel: TunnelSnapshot, now: datetime) -> list[str]:
    """Return a line for each forward whose last client could not be served."""
    return [
        printable(f"{tunnel.name}: {format_forward(forward)}: {text}", REASON_LIMIT)
        for forward in tunnel.forwards
        if tunnel.state != "stopped" and (text := client_failure_text(forward, now))
    ]


def client_failure_text(forward: ForwardSnapshot, now: datetime) -> str:
    """Return how many clients of a forward failed, when and why; empty if the last one did not."""
    last = forward.client_failure
    if last is None or last.recovered:
        return ""
    clients = "the last client" if last.count == 1 else f"the last {last.count} clients"
    return f"{clients} failed, {time_since(last.at, now)} ago: {last.message}"


def describe(tunnel: TunnelSnapshot) -> list[Message]:
    """Return why a tunnel is not up, or its progress if nothing has failed yet."""
    progress = tunnel.progress
    where = f": {progress.hop}: {format_progress(progress)}" if progress else ""
    state = Message(printable(f"{tunnel.name}: {tunnel.state}{where}"))
    return [each.message for each in failure_texts(tunnel)] or [state]


def _failure_text(
    tunnel: TunnelSnapshot, state: str, failure: FailureSnapshot, where: str
) -> FailureText:
    parts = (tunnel.name, state, failure.cause, where, failure.message, failure.hint)
    return FailureText(*(printable(part, REASON_LIMIT) for part in parts))


def _replacement_failures(tunnel: TunnelSnapshot) -> list[FailureText]:
    """Return why the connection, which stays in use, could not be replaced."""
    failure = tunnel.replacement.failure if tunnel.replacement else None
    return [_failure_text(tunnel, "not replaced", failure, failure.hop)] if failure else []


def format_progress(progress: ProgressSnapshot) -> str:
    """Return the step of a connection, and what a person must do for it to end."""
    return f"{progress.step}: {progress.waiting}" if progress.waiting else progress.step


def format_replacement(replacement: ReplacementSnapshot) -> str:
    """Return the progress of a replacement in a word or two."""
    match replacement:
        case ReplacementSnapshot(state="connecting", progress=progress):
            return f"replacing: {format_progress(progress)}" if progress else "replacing"
        case ReplacementSnapshot(state="draining", connections=left):
            return f"draining {left}"
    return "not replaced"


def first_failure(tunnel: TunnelSnapshot) -> FailureSnapshot | None:
    """Return the failure to show for a tunnel that is not up: its own before its forwards'."""
    if tunnel.state == "up":
        return None
    failures = (tunnel.failure, *(forward.failure for forward in tunnel.forwards))
    return next((failure for failure in failures if failure is not None), None)


def short_reason(tunnel: TunnelSnapshot, now: datetime) -> str:
    """Return the cause, the number of attempts, and the time of the next one.

    For a tunnel that is up, return the number of clients that failed and were the last ones.
    """
    if tunnel.state == "up":
        last = [f.client_failure for f in tunnel.forwards if f.client_failure is not None]
        failed = sum(failure.count for failure in last if not failure.recovered)
        return f"{failed} client{'s' if failed > 1 else ''} failed" if failed else ""
    failure = first_failure(tunnel)
    parts = [printable(failure.cause)] if failure else []
    if failure and tunnel.state in {"backoff", "blocked"} and tunnel.attempt > 1:
        parts.append(f"{tunnel.attempt} times")
    if tunnel.retry_at is not None:
        parts.append(f"retry in {time_until(tunnel.retry_at, now)}")
    return ", ".join(parts)
