"""Consecutive packets are delivered together to sessions that accept a BufferList."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any

from asyncssh.constants import MSG_CHANNEL_CLOSE, MSG_CHANNEL_EOF
from asyncssh.packet import UInt32
from hypothesis import given
from hypothesis import strategies as st

from tests.forwarding.services import blob
from tests.ssh.established import Established, Session, compare_paths
from tunnelkeeper.forwarding.pump import ChannelEndpoint, Counters, SocketEndpoint
from tunnelkeeper.net.stream_transport import BufferList
from tunnelkeeper.ssh.fastpath import connection
from tunnelkeeper.ssh.fastpath.reassembly import MAX_BATCH_PACKETS

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pytest


class BatchSession(Session):
    """A session that accepts batches and records their sizes."""

    accepts_buffer_list = True

    def __init__(self) -> None:
        super().__init__()
        self.batch_sizes: list[int] = []

    def data_received(self, data: Any, datatype: Any = None) -> None:
        views = data.views if isinstance(data, BufferList) else [data]
        self.batch_sizes.append(len(views))
        assert sum(map(len, views)) == len(data)
        for view in views:
            super().data_received(bytes(view), datatype)


def packets(client: Established, pieces: Sequence[bytes], channel: int = 0) -> bytes:
    return b"".join(client.peer.data(piece, channel) for piece in pieces)


def test_the_packets_of_one_read_are_delivered_together() -> None:
    def scenario(client: Established) -> None:
        client.open(BatchSession())
        client.receive(packets(client, [b"one", blob(10_000), b"three"]))

    session = compare_paths(scenario).sessions[0]

    assert session.events == [b"one", blob(10_000), b"three"]
    assert session.batch_sizes == [3]


def test_other_sessions_get_each_packet_separately() -> None:
    def scenario(client: Established) -> None:
        client.open()
        client.receive(packets(client, [b"one", b"two"]))

    assert compare_paths(scenario).sessions[0].events == [b"one", b"two"]


def test_interleaved_channels_keep_their_order() -> None:
    def scenario(client: Established) -> None:
        client.open(BatchSession())
        client.open(BatchSession())
        client.receive(
            packets(client, [b"a", b"b"], 0)
            + packets(client, [b"1"], 1)
            + packets(client, [b"c"], 0)
            + packets(client, [b"2", b"3"], 1)
        )

    first, second = compare_paths(scenario).sessions

    assert (first.events, first.batch_sizes) == ([b"a", b"b", b"c"], [2, 1])
    assert (second.events, second.batch_sizes) == ([b"1", b"2", b"3"], [1, 2])


def test_eof_and_close_follow_the_data() -> None:
    def scenario(client: Established) -> None:
        client.open(BatchSession())
        client.receive(
            packets(client, [b"one", b"two"])
            + client.peer.packet(MSG_CHANNEL_EOF, UInt32(0))
            + client.peer.packet(MSG_CHANNEL_CLOSE, UInt32(0))
        )

    assert compare_paths(scenario).sessions[0].events == [b"one", b"two", "eof", "lost: None"]


def test_a_batch_has_a_maximum_number_of_packets() -> None:
    pieces = [b"%d" % number for number in range(3 * MAX_BATCH_PACKETS + 1)]

    def scenario(client: Established) -> None:
        client.open(BatchSession())
        client.receive(packets(client, pieces))

    session = compare_paths(scenario).sessions[0]

    assert session.events == pieces
    assert session.batch_sizes == [*[MAX_BATCH_PACKETS] * 3, 1]


def test_a_batch_is_delivered_before_the_window_is_exceeded() -> None:
    def scenario(client: Established) -> None:
        client.open(BatchSession(), receives=100)
        # The first packet makes credit due, so the batch is delivered before the next is checked.
        client.receive(packets(client, [blob(60), blob(60), blob(60)]))

    assert compare_paths(scenario).sessions[0].events == [blob(60)] * 3


def test_data_within_the_window_is_delivered_before_the_error() -> None:
    def scenario(client: Established) -> None:
        client.open(BatchSession(), receives=100)
        client.receive(packets(client, [b"in order", blob(101)]))

    assert compare_paths(scenario).sessions[0].events[0] == b"in order"


@given(
    st.lists(st.tuples(st.integers(0, 2), st.integers(1, 5000)), max_size=60),
    st.lists(st.integers(0, 60_000), max_size=4),
)
def test_any_packets_in_any_reads_have_the_same_result(
    sizes: list[tuple[int, int]], cuts: list[int]
) -> None:
    def scenario(client: Established) -> None:
        for _ in range(2):
            client.open(BatchSession())
        client.open()
        stream = b"".join(client.peer.data(blob(size), channel) for channel, size in sizes)
        ends = sorted({min(cut, len(stream)) for cut in cuts} | {0, len(stream)})
        client.receive(*(stream[a:b] for a, b in itertools.pairwise(ends)))

    compare_paths(scenario)


class _Sink:
    """The transport of a SocketEndpoint."""

    def __init__(self) -> None:
        self.lines: list[list[bytes]] = []

    def writelines(self, views: Sequence[bytes | memoryview]) -> None:
        self.lines.append([bytes(view) for view in views])

    def pause_reading(self) -> None:
        """Ignore the call: nothing is read."""

    resume_reading = pause_reading


def test_a_batch_is_written_to_a_socket_in_one_call(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "ENABLED", True)
    client, counters, sink = Established(), Counters(), _Sink()
    endpoint, socket = ChannelEndpoint(counters, lambda _: None), SocketEndpoint()
    endpoint.connection_made(client.open(endpoint))
    assert not endpoint.accepts_buffer_list  # no socket is connected yet

    socket._transport = sink  # type: ignore[assignment]
    endpoint.peer = socket
    client.receive(packets(client, [b"one", b"two"]))

    assert sink.lines == [[b"one", b"two"]]
    assert counters.bytes_in == 6
