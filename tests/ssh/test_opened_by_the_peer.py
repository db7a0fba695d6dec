"""A channel that the peer opens delivers nothing before its session resumes it."""

from __future__ import annotations

import pytest
from asyncssh.constants import MSG_CHANNEL_OPEN_CONFIRMATION

from tests.ssh.established import PACKET, WINDOW, Established, Session
from tunnelkeeper.ssh.channels import TcpChannel


class PausedSession(Session):
    """Pauses reading as soon as its channel is open."""

    def connection_made(self, chan: TcpChannel) -> None:  # type: ignore[override]
        chan.pause_reading()


async def open_by_peer(client: Established, session: Session) -> TcpChannel:
    channel = TcpChannel(client.transport, client.loop, None, "strict", WINDOW, PACKET)
    channel._send_chan = channel._recv_chan
    channel._send_window, channel._send_pktsize = WINDOW, PACKET
    await channel._finish_open_request(session)
    assert client.sent_numbers == [MSG_CHANNEL_OPEN_CONFIRMATION]
    return channel


async def test_a_session_that_pauses_at_once_receives_nothing_until_it_resumes() -> None:
    client, session = Established(), PausedSession()
    channel = await open_by_peer(client, session)

    client.receive(client.peer.data(b"early"))
    assert session.events == []

    channel.resume_reading()
    assert session.events == [b"early"]


@pytest.mark.parametrize("data", [b"early", b"early" * 2000])
async def test_a_session_that_does_not_pause_receives_at_once(data: bytes) -> None:
    client, session = Established(), Session()
    await open_by_peer(client, session)

    client.receive(client.peer.data(data))

    assert session.events == [data]
