"""Writing to a channel and closing it sends the same packets as asyncssh."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from asyncssh.constants import (
    MSG_CHANNEL_CLOSE,
    MSG_CHANNEL_DATA,
    MSG_CHANNEL_EOF,
    MSG_CHANNEL_EXTENDED_DATA,
)

from tests.forwarding.services import MEGABYTE, blob
from tests.ssh.established import WINDOW, Established, compare_paths

if TYPE_CHECKING:
    from collections.abc import Callable

BUFFERS: list[Callable[[bytes], Any]] = [
    bytes,
    bytearray,
    memoryview,
    lambda data: memoryview(bytearray(data)),
    lambda data: memoryview(b"before" + data + b"after")[6:-5],
]


@pytest.mark.parametrize("buffer", BUFFERS, ids=range(len(BUFFERS)))
def test_any_buffer_of_bytes_can_be_written(buffer: Callable[[bytes], Any]) -> None:
    result = compare_paths(lambda client: client.open(window=50).write(buffer(blob(70))))

    assert result.sent_data == [blob(50)]
    assert result.counts == (1, 0)


def test_buffered_data_is_a_copy() -> None:
    def scenario(client: Established) -> None:
        buffer_ = bytearray(b"first")
        client.open(window=2).write(buffer_)
        buffer_[:] = b"other"
        client.receive(client.peer.adjust(3))

    assert compare_paths(scenario).sent_data == [b"fi", b"rst"]


@pytest.mark.parametrize("buffer", BUFFERS, ids=range(len(BUFFERS)))
def test_an_empty_write_sends_nothing(buffer: Callable[[bytes], Any]) -> None:
    assert compare_paths(lambda client: client.open().write(buffer(b""))).sent == []


def test_a_huge_write_is_sent_completely() -> None:
    data = blob(64 * MEGABYTE)

    def scenario(client: Established) -> None:
        channel = client.open()
        channel.write(data)
        while channel._send_buf:
            client.receive(client.peer.adjust(WINDOW))

    result = compare_paths(scenario)

    assert b"".join(result.sent_data) == data


def test_extended_data_is_left_to_asyncssh_and_keeps_its_order() -> None:
    def scenario(client: Established) -> None:
        channel = client.open(window=12)
        channel._write_datatypes = {1}
        for data, kind in ((b"one", None), (b"two", 1), (b"three", None), (b"four", 1)):
            channel.write(data, kind)
        channel.write(b"five")
        client.receive(client.peer.adjust(WINDOW))

    result = compare_paths(scenario)

    pieces = [
        payload[9:] if payload[0] == MSG_CHANNEL_DATA else payload[13:]
        for payload, _ in result.sent
    ]
    assert pieces == [b"one", b"two", b"three", b"f", b"our", b"five"]
    assert result.sent_numbers.count(MSG_CHANNEL_EXTENDED_DATA) == 3


@pytest.mark.parametrize("state", ["eof_pending", "eof", "close_pending", "closed"])
def test_a_channel_that_is_closed_for_sending_refuses_data(state: str) -> None:
    def scenario(client: Established) -> None:
        channel = client.open()
        channel._send_state = state
        with pytest.raises(BrokenPipeError):
            channel.write(b"late")

    assert compare_paths(scenario).sent == []


@pytest.mark.parametrize("window", [0, 3, WINDOW])
@pytest.mark.parametrize(
    ("method", "number"), [("write_eof", MSG_CHANNEL_EOF), ("close", MSG_CHANNEL_CLOSE)]
)
def test_eof_and_close_follow_written_data(window: int, method: str, number: int) -> None:
    def scenario(client: Established) -> None:
        channel = client.open(window=window)
        channel.write(b"last words")
        getattr(channel, method)()
        client.receive(client.peer.adjust(10))

    result = compare_paths(scenario)

    assert b"".join(result.sent_data) == b"last words"
    assert result.sent_numbers[-1] == number


def test_an_abort_drops_buffered_data() -> None:
    def scenario(client: Established) -> None:
        channel = client.open(window=3)
        channel.write(b"last words")
        channel.abort()
        client.receive(client.peer.adjust(10))

    result = compare_paths(scenario)

    assert result.sent_data == [b"las"]
    assert result.sent_numbers == [MSG_CHANNEL_DATA, MSG_CHANNEL_CLOSE]
