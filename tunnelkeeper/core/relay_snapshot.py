"""What front ends may know of a relay: the answer of `relay status`, as it crosses the socket.

Fields are only ever added. Times are ISO 8601 in UTC. Text of clients is printable.
"""

from __future__ import annotations

from typing import Literal

import msgspec


class BindingSnapshot(msgspec.Struct, frozen=True):
    """Something a client listens on. listen: `address:port`, `name:port` or a path.

    connections: of those who came there and are connected to the client now.
    """

    kind: Literal["port", "name", "path"]
    listen: str
    since: str
    connections: int
    connections_total: int


class ClientSnapshot(msgspec.Struct, frozen=True):
    """One connection that is logged in. key: its fingerprint. line: the place in authorized_keys.

    silent: seconds since its last byte. bytes_in came from it, bytes_out was sent to it.
    """

    user: str
    key: str
    line: str
    address: str
    version: str
    since: str
    silent: float
    rtt_ms: float | None
    channels: int
    bytes_in: int
    bytes_out: int
    holds: list[BindingSnapshot]


class RefusalSnapshot(msgspec.Struct, frozen=True):
    """Something that was refused. user: empty for a connection that named none."""

    at: str
    what: str
    address: str
    user: str
    reason: str


class RefusalsSnapshot(msgspec.Struct, frozen=True):
    """What was refused since the start, by kind, and the last of them, newest last."""

    connections: int
    logins: int
    listens: int
    opens: int
    recent: list[RefusalSnapshot]


class RelaySnapshot(msgspec.Struct, frozen=True):
    """The whole answer. waiting: connections that have not logged in."""

    version: str
    pid: int
    config: str
    started_at: str
    listen: list[str]
    host_keys: list[str]
    waiting: int
    clients: list[ClientSnapshot]
    refusals: RefusalsSnapshot
