from __future__ import annotations

import pytest

from tests.forwarding.fakes import Ends, joined_ends, open_ends
from tunnelkeeper.forwarding.pump import PauseReason, WritePauseReason, join


@pytest.fixture
def ends() -> Ends:
    return joined_ends()


def test_a_socket_that_is_full_holds_the_channel_until_it_drains(ends: Ends) -> None:
    ends.socket.pause_writing()

    assert not ends.below_channel.reading

    ends.socket.resume_writing()

    assert ends.below_channel.reading


@pytest.mark.parametrize("first", list(WritePauseReason))
@pytest.mark.parametrize("drained", list(WritePauseReason))
def test_a_channel_that_cannot_send_holds_the_socket_until_nothing_stalls_it(
    ends: Ends, first: WritePauseReason, drained: WritePauseReason
) -> None:
    second = next(cause for cause in WritePauseReason if cause is not first)
    ends.channel.pause_link(first)
    ends.channel.pause_link(second)

    assert not ends.below_socket.reading

    ends.channel.resume_link(drained)

    assert not ends.below_socket.reading

    ends.channel.resume_link(next(cause for cause in WritePauseReason if cause is not drained))

    assert ends.below_socket.reading


def test_a_channels_window_and_its_link_are_told_apart(ends: Ends) -> None:
    ends.channel.pause_writing()
    ends.channel.pause_link()
    ends.channel.resume_link()

    assert not ends.below_socket.reading

    ends.channel.resume_writing()

    assert ends.below_socket.reading


def test_a_channel_that_is_stalled_at_the_join_holds_the_socket() -> None:
    ends = open_ends()
    ends.channel.pause_link()

    join(ends.socket, ends.channel)

    assert not ends.below_socket.reading

    ends.channel.resume_link()

    assert ends.below_socket.reading


def test_a_socket_that_is_full_at_the_join_holds_the_channel() -> None:
    ends = open_ends()
    ends.socket.pause_writing()

    join(ends.socket, ends.channel)

    assert not ends.below_channel.reading

    ends.socket.resume_writing()

    assert ends.below_channel.reading


def test_an_end_reads_again_only_when_every_cause_is_released(ends: Ends) -> None:
    for end, below in (
        (ends.socket, ends.below_socket),
        (ends.channel, ends.below_channel),
    ):
        end.pause_reading(PauseReason.HANDSHAKE)
        end.pause_reading(PauseReason.PEER_WRITE_PAUSED)
        end.resume_reading(PauseReason.HANDSHAKE)

        assert not below.reading

        end.resume_reading(PauseReason.PEER_WRITE_PAUSED)

        assert below.reading


def test_releasing_what_does_not_hold_changes_nothing(ends: Ends) -> None:
    ends.socket.pause_reading(PauseReason.PEER_WRITE_PAUSED)
    ends.socket.resume_reading(PauseReason.HANDSHAKE)
    ends.channel.pause_reading(PauseReason.PEER_WRITE_PAUSED)
    ends.channel.resume_reading(PauseReason.HANDSHAKE)

    assert not ends.below_socket.reading
    assert not ends.below_channel.reading
