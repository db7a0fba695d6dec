"""Random events on two channels have the same result with and without the fast path."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.forwarding.services import blob
from tests.ssh.established import PACKET, Established, compare_paths

if TYPE_CHECKING:
    from collections.abc import Callable

MAX_EVENT_BYTES = 600
"""Maximum bytes of one event."""

WINDOW = 2000
"""Bytes of every window. A few events exhaust it."""


class ClientAndPeer:
    """A connection with two channels, and the bytes in transit from its peer."""

    def __init__(self, client: Established, packet: int) -> None:
        self._here = client
        self._in_transit = bytearray()
        self._channels = [
            client.open(window=WINDOW, packet=packet, receives=WINDOW) for _ in range(2)
        ]
        for channel in self._channels:
            channel.set_write_buffer_limits(MAX_EVENT_BYTES)

    def write(self, channel: int, size: int) -> None:
        with suppress(BrokenPipeError):
            self._channels[channel].write(blob(size))

    def write_eof(self, channel: int, _: int) -> None:
        self._channels[channel].write_eof()

    def pause(self, channel: int, _: int) -> None:
        self._channels[channel].pause_reading()

    def resume(self, channel: int, _: int) -> None:
        self._channels[channel].resume_reading()

    def data(self, channel: int, size: int) -> None:
        self._in_transit += self._here.peer.data(blob(size), channel)

    def adjust(self, channel: int, size: int) -> None:
        self._in_transit += self._here.peer.adjust(size, channel)

    def read(self, _: int, size: int) -> None:
        read = bytes(self._in_transit[:size])
        del self._in_transit[:size]
        self._here.receive(read)

    def read_all(self) -> None:
        self.read(0, len(self._in_transit))


Event = tuple["Callable[[ClientAndPeer, int, int], None]", int, int]

LOCAL_EVENTS = (
    ClientAndPeer.write,
    ClientAndPeer.write_eof,
    ClientAndPeer.pause,
    ClientAndPeer.resume,
)
PEER_EVENTS = (ClientAndPeer.data, ClientAndPeer.adjust, ClientAndPeer.read)

events: st.SearchStrategy[Event] = st.tuples(
    st.one_of(st.sampled_from(LOCAL_EVENTS), st.sampled_from(PEER_EVENTS)),
    st.integers(0, 1),
    st.integers(0, MAX_EVENT_BYTES),
)


@settings(max_examples=200, deadline=None)
@given(
    sequence=st.lists(events, max_size=50),
    packet=st.sampled_from([1, 50, PACKET]),
    rekey_bytes=st.sampled_from([1000, 1 << 30]),
)
def test_both_paths_have_the_same_result(
    sequence: list[Event], packet: int, rekey_bytes: int
) -> None:
    def scenario(client: Established) -> None:
        client.transport._rekey_bytes = rekey_bytes
        pair = ClientAndPeer(client, packet)
        for event, channel, size in sequence:
            event(pair, channel, size)
        pair.read_all()

    compare_paths(scenario)
