"""The result of `relay status`, as values that cross the control socket. It reads no state itself.

Fields are only ever added. Times are ISO 8601 in UTC. Text from clients is printable.
"""

from __future__ import annotations

from typing import Literal

import msgspec


class BindingSnapshot(msgspec.Struct, frozen=True):
    """A listener of a client. listen: `address:port`, `name:port` or a path.

    connections: those accepted there and currently connected to the client.
    """

    kind: Literal["port", "name", "path"]
    listen: str
    since: str
    connections: int
    connections_total: int


class ClientSnapshot(msgspec.Struct, frozen=True):
    """One authenticated connection. key: its fingerprint. line: its line in authorized_keys.

    silent: seconds since its last byte. bytes_in was received from it, bytes_out sent to it.
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


class DepartureSnapshot(msgspec.Struct, frozen=True):
    """A listener whose client has left. key: the fingerprint of the client's key."""

    kind: Literal["port", "name", "path"]
    listen: str
    user: str
    key: str
    address: str
    left_at: str


class RefusalSnapshot(msgspec.Struct, frozen=True):
    """The last refused request of a client and kind.

    user: empty for a connection that named none. count: of this client and kind, so far.
    """

    at: str
    what: str
    address: str
    user: str
    reason: str
    count: int = 1


class RefusalsSnapshot(msgspec.Struct, frozen=True):
    """The refusals since the start, by kind, and the last of each recent client, newest last."""

    connections: int
    logins: int
    listens: int
    opens: int
    recent: list[RefusalSnapshot]


class BanSnapshot(msgspec.Struct, frozen=True):
    """An address, network or key that is kept out. until: None for a ban without an end."""

    target: str
    since: str
    until: str | None


class RelaySnapshot(msgspec.Struct, frozen=True):
    """The whole result. waiting: connections that have not authenticated.

    left: what clients listened on until they left, oldest first; at most 1000.
    """

    version: str
    pid: int
    config: str
    started_at: str
    listen: list[str]
    host_keys: list[str]
    waiting: int
    clients: list[ClientSnapshot]
    refusals: RefusalsSnapshot
    bans: list[BanSnapshot] = []
    left: list[DepartureSnapshot] = []
