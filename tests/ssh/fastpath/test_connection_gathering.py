"""Data that comes in several packets in a row goes on together, to sessions that take it so."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any

from asyncssh.constants import MSG_CHANNEL_CLOSE, MSG_CHANNEL_EOF
from asyncssh.packet import UInt32
from hypothesis import given
from hypothesis import strategies as st

from tests.forwarding.services import blob
from tests.ssh.established import Established, Session, both_ways
from tunnelkeeper.forwarding.pump import ChannelEndpoint, Counters, SocketEndpoint
from tunnelkeeper.net.stream_transport import BufferList
from tunnelkeeper.ssh.fastpath import connection
from tunnelkeeper.ssh.fastpath.reassembly import MAX_BATCH_PACKETS

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pytest


class Taking(Session):
    """Hears the pieces one by one, and notes how many came at a time."""

    accepts_buffer_list = True

    def __init__(self) -> None:
        super().__init__()
        self.at_a_time: list[int] = []

    def data_received(self, data: Any, datatype: Any = None) -> None:
        views = data.views if isinstance(data, BufferList) else [data]
        self.at_a_time.append(len(views))
        assert sum(map(len, views)) == len(data)
        for view in views:
            super().data_received(bytes(view), datatype)


def packets(here: Established, pieces: Sequence[bytes], channel: int = 0) -> bytes:
    return b"".join(here.peer.data(piece, channel) for piece in pieces)


def test_the_packets_of_one_read_come_together() -> None:
    def life(here: Established) -> None:
        here.open(Taking())
        here.receive(packets(here, [b"one", blob(10_000), b"three"]))

    session = both_ways(life).sessions[0]

    assert session.heard == [b"one", blob(10_000), b"three"]
    assert session.at_a_time == [3]


def test_a_session_that_does_not_say_so_hears_each_packet() -> None:
    def life(here: Established) -> None:
        here.open()
        here.receive(packets(here, [b"one", b"two"]))

    assert both_ways(life).sessions[0].heard == [b"one", b"two"]


def test_channels_in_turn_keep_their_order() -> None:
    def life(here: Established) -> None:
        here.open(Taking())
        here.open(Taking())
        here.receive(
            packets(here, [b"a", b"b"], 0)
            + packets(here, [b"1"], 1)
            + packets(here, [b"c"], 0)
            + packets(here, [b"2", b"3"], 1)
        )

    first, second = both_ways(life).sessions

    assert (first.heard, first.at_a_time) == ([b"a", b"b", b"c"], [2, 1])
    assert (second.heard, second.at_a_time) == ([b"1", b"2", b"3"], [1, 2])


def test_what_ends_a_channel_comes_behind_its_data() -> None:
    def life(here: Established) -> None:
        here.open(Taking())
        here.receive(
            packets(here, [b"one", b"two"])
            + here.peer.packet(MSG_CHANNEL_EOF, UInt32(0))
            + here.peer.packet(MSG_CHANNEL_CLOSE, UInt32(0))
        )

    assert both_ways(life).sessions[0].heard == [b"one", b"two", "eof", "lost: None"]


def test_very_many_small_packets_are_handed_on_in_between() -> None:
    many = [b"%d" % number for number in range(3 * MAX_BATCH_PACKETS + 1)]

    def life(here: Established) -> None:
        here.open(Taking())
        here.receive(packets(here, many))

    session = both_ways(life).sessions[0]

    assert session.heard == many
    assert session.at_a_time == [*[MAX_BATCH_PACKETS] * 3, 1]


def test_together_they_may_not_be_more_than_the_window() -> None:
    def life(here: Established) -> None:
        here.open(Taking(), receives=100)
        # Credit is due after the first: what was gathered is handed over before it is judged.
        here.receive(packets(here, [blob(60), blob(60), blob(60)]))

    assert both_ways(life).sessions[0].heard == [blob(60)] * 3


def test_data_beyond_the_window_ends_the_connection_behind_what_was_within() -> None:
    def life(here: Established) -> None:
        here.open(Taking(), receives=100)
        here.receive(packets(here, [b"in order", blob(101)]))

    assert both_ways(life).sessions[0].heard[0] == b"in order"


@given(
    st.lists(st.tuples(st.integers(0, 2), st.integers(1, 5000)), max_size=60),
    st.lists(st.integers(0, 60_000), max_size=4),
)
def test_any_packets_in_any_reads_come_to_the_same(
    sizes: list[tuple[int, int]], cuts: list[int]
) -> None:
    def life(here: Established) -> None:
        for _ in range(2):
            here.open(Taking())
        here.open()
        whole = b"".join(here.peer.data(blob(size), channel) for channel, size in sizes)
        ends = sorted({min(cut, len(whole)) for cut in cuts} | {0, len(whole)})
        here.receive(*(whole[a:b] for a, b in itertools.pairwise(ends)))

    both_ways(life)


class _Sink:
    """What a socket's end has below it."""

    def __init__(self) -> None:
        self.lines: list[list[bytes]] = []

    def writelines(self, views: Sequence[bytes | memoryview]) -> None:
        self.lines.append([bytes(view) for view in views])

    def pause_reading(self) -> None:
        """Nothing comes from below."""

    resume_reading = pause_reading


def test_a_socket_gets_them_in_one_write(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "ENABLED", True)
    here, counters, sink = Established(), Counters(), _Sink()
    end, socket = ChannelEndpoint(counters, lambda _: None), SocketEndpoint()
    end.connection_made(here.open(end))
    assert not end.accepts_buffer_list  # there is no socket yet

    socket._transport = sink  # type: ignore[assignment]
    end.peer = socket
    here.receive(packets(here, [b"one", b"two"]))

    assert sink.lines == [[b"one", b"two"]]
    assert counters.bytes_in == 6
