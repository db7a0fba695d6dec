from __future__ import annotations

import pytest

from tests.forwarding.fakes import Endpoints, FakeChannel, joined_endpoints, open_endpoints
from tunnelkeeper.forwarding.pump import (
    ChannelEndpoint,
    Counters,
    PauseReason,
    WritePauseReason,
    join,
)


@pytest.fixture
def endpoints() -> Endpoints:
    return joined_endpoints()


def test_a_full_socket_pauses_the_channel_until_it_drains(endpoints: Endpoints) -> None:
    endpoints.socket.pause_writing()

    assert not endpoints.asyncssh_channel.reading

    endpoints.socket.resume_writing()

    assert endpoints.asyncssh_channel.reading


@pytest.mark.parametrize("first", list(WritePauseReason))
@pytest.mark.parametrize("drained", list(WritePauseReason))
def test_a_channel_pauses_the_socket_until_both_reasons_are_removed(
    endpoints: Endpoints, first: WritePauseReason, drained: WritePauseReason
) -> None:
    second = next(reason for reason in WritePauseReason if reason is not first)
    endpoints.channel.pause_link(first)
    endpoints.channel.pause_link(second)

    assert not endpoints.transport.reading

    endpoints.channel.resume_link(drained)

    assert not endpoints.transport.reading

    endpoints.channel.resume_link(
        next(reason for reason in WritePauseReason if reason is not drained)
    )

    assert endpoints.transport.reading


def test_the_window_and_the_link_pause_a_channel_independently(endpoints: Endpoints) -> None:
    endpoints.channel.pause_writing()
    endpoints.channel.pause_link()
    endpoints.channel.resume_link()

    assert not endpoints.transport.reading

    endpoints.channel.resume_writing()

    assert endpoints.transport.reading


def test_a_channel_that_is_paused_before_the_join_pauses_the_socket() -> None:
    endpoints = open_endpoints()
    endpoints.channel.pause_link()

    join(endpoints.socket, endpoints.channel)

    assert not endpoints.transport.reading

    endpoints.channel.resume_link()

    assert endpoints.transport.reading


def test_a_socket_that_is_full_before_the_join_pauses_the_channel() -> None:
    endpoints = open_endpoints()
    endpoints.socket.pause_writing()

    join(endpoints.socket, endpoints.channel)

    assert not endpoints.asyncssh_channel.reading

    endpoints.socket.resume_writing()

    assert endpoints.asyncssh_channel.reading


def test_an_endpoint_reads_again_only_when_every_reason_is_removed(endpoints: Endpoints) -> None:
    for endpoint, below in (
        (endpoints.socket, endpoints.transport),
        (endpoints.channel, endpoints.asyncssh_channel),
    ):
        endpoint.pause_reading(PauseReason.HANDSHAKE)
        endpoint.pause_reading(PauseReason.PEER_WRITE_PAUSED)
        endpoint.resume_reading(PauseReason.HANDSHAKE)

        assert not below.reading

        endpoint.resume_reading(PauseReason.PEER_WRITE_PAUSED)

        assert below.reading


def test_removing_an_absent_reason_changes_nothing(endpoints: Endpoints) -> None:
    endpoints.socket.pause_reading(PauseReason.PEER_WRITE_PAUSED)
    endpoints.socket.resume_reading(PauseReason.HANDSHAKE)
    endpoints.channel.pause_reading(PauseReason.PEER_WRITE_PAUSED)
    endpoints.channel.resume_reading(PauseReason.HANDSHAKE)

    assert not endpoints.transport.reading
    assert not endpoints.asyncssh_channel.reading


# Endpoints of one kind


def two_channels() -> tuple[ChannelEndpoint, ChannelEndpoint, FakeChannel, FakeChannel]:
    first, second = (ChannelEndpoint(Counters(), lambda _: None) for _ in range(2))
    below_first, below_second = FakeChannel(), FakeChannel()
    first.connection_made(below_first)
    second.connection_made(below_second)
    return first, second, below_first, below_second


def test_two_channels_can_be_joined() -> None:
    first, second, below_first, below_second = two_channels()
    first.pause_reading(PauseReason.NO_PEER)
    second.pause_link()
    second.eof_received()

    join(first, second)
    reading = [below_first.reading]
    second.resume_link()
    reading.append(below_first.reading)
    first.data_received(b"question")
    second.data_received(b"answer")

    assert reading == [False, True]
    assert below_first.calls == ["eof", b"answer"]
    assert below_second.calls == [b"question"]


@pytest.mark.parametrize("closed", [0, 1])
def test_a_join_with_a_closed_channel_aborts_the_other(closed: int) -> None:
    first, second, *below = two_channels()
    (first, second)[closed].connection_lost(None)

    join(first, second)

    assert below[closed].calls == []
    assert below[1 - closed].calls == ["abort"]
