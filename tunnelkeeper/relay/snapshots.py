"""Shows a client as status does; it changes nothing."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Literal

from tunnelkeeper.core.forward_spec import TcpAddress, UnixAddress
from tunnelkeeper.core.relay_snapshot import BindingSnapshot, ClientSnapshot
from tunnelkeeper.core.text import printable
from tunnelkeeper.relay.registry import Name

if TYPE_CHECKING:
    from tunnelkeeper.relay.client_session import ClientSession
    from tunnelkeeper.relay.registry import Binding, BindTarget


def client_snapshot(client: ClientSession) -> ClientSnapshot:
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


def _holding_snapshot(holding: Binding) -> BindingSnapshot:
    return BindingSnapshot(
        kind=_kind_of(holding.place),
        listen=printable(str(holding.place)),
        since=holding.since,
        connections=holding.counters.connections,
        connections_total=holding.counters.connections_total,
    )


def _kind_of(place: BindTarget) -> Literal["port", "name", "path"]:
    match place:
        case TcpAddress():
            return "port"
        case Name():
            return "name"
        case UnixAddress():
            return "path"
