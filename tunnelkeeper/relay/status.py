"""Shows a client as status does; it changes nothing."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Literal

from tunnelkeeper.core.failures import printable
from tunnelkeeper.core.forwards import TcpAddress, UnixAddress
from tunnelkeeper.core.relay_snapshot import ClientSnapshot, HoldingSnapshot
from tunnelkeeper.relay.registry import Name

if TYPE_CHECKING:
    from tunnelkeeper.relay.client import Client
    from tunnelkeeper.relay.registry import Holding, Place


def client_snapshot(client: Client) -> ClientSnapshot:
    """One client that is logged in."""
    line, traffic = client.admitted.line, client.channels.traffic
    return ClientSnapshot(
        user=client.admitted.user,
        key=client.admitted.key.fingerprint,
        line=printable(f"{line.path}:{line.number}", 4096),
        address=str(client.address),
        version=client.transport.client_version,
        since=client.since,
        silent=round(time.monotonic() - client.transport.last_heard, 1),
        rtt_ms=client.heartbeat.rtt_ms,
        channels=client.transport.channel_count,
        bytes_in=traffic.bytes_in,
        bytes_out=traffic.bytes_out,
        holds=[_holding_snapshot(holding) for holding in client.holdings],
    )


def _holding_snapshot(holding: Holding) -> HoldingSnapshot:
    return HoldingSnapshot(
        kind=_kind_of(holding.place),
        listen=printable(str(holding.place)),
        since=holding.since,
        connections=holding.counters.connections,
        connections_total=holding.counters.connections_total,
    )


def _kind_of(place: Place) -> Literal["port", "name", "path"]:
    match place:
        case TcpAddress():
            return "port"
        case Name():
            return "name"
        case UnixAddress():
            return "path"
