"""Whatever two channels send and receive, in whatever reads: both ways come to the same."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.forwarding.services import blob
from tests.ssh.established import PACKET, Established, both_ways

if TYPE_CHECKING:
    from collections.abc import Callable

MOST = 600
"""Bytes of one event."""

WINDOW = 2000
"""Bytes of every window: a few events use one up."""


class World:
    """A connection with two channels, what befalls them, and what is on its way to them."""

    def __init__(self, here: Established, packet: int) -> None:
        self._here = here
        self._coming = bytearray()
        self._channels = [
            here.open(window=WINDOW, packet=packet, receives=WINDOW) for _ in range(2)
        ]
        for channel in self._channels:
            channel.set_write_buffer_limits(MOST)

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
        self._coming += self._here.peer.data(blob(size), channel)

    def adjust(self, channel: int, size: int) -> None:
        self._coming += self._here.peer.adjust(size, channel)

    def read(self, _: int, size: int) -> None:
        read = bytes(self._coming[:size])
        del self._coming[:size]
        self._here.receive(read)

    def read_all(self) -> None:
        self.read(0, len(self._coming))


Event = tuple["Callable[[World, int, int], None]", int, int]

KINDS = (World.write, World.write_eof, World.pause, World.resume)
KINDS_OF_THE_PEER = (World.data, World.adjust, World.read)

events: st.SearchStrategy[Event] = st.tuples(
    st.one_of(st.sampled_from(KINDS), st.sampled_from(KINDS_OF_THE_PEER)),
    st.integers(0, 1),
    st.integers(0, MOST),
)


@settings(max_examples=200, deadline=None)
@given(
    befalling=st.lists(events, max_size=50),
    packet=st.sampled_from([1, 50, PACKET]),
    rekey_bytes=st.sampled_from([1000, 1 << 30]),
)
def test_both_ways_come_to_the_same(befalling: list[Event], packet: int, rekey_bytes: int) -> None:
    def life(here: Established) -> None:
        here.transport._rekey_bytes = rekey_bytes
        world = World(here, packet)
        for befall, channel, size in befalling:
            befall(world, channel, size)
        world.read_all()

    both_ways(life)
