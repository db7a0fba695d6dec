"""Whatever is written to a channel, and however its writing ends, goes out as asyncssh has it."""

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
from tests.ssh.established import WINDOW, Established, both_ways

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
    live = both_ways(lambda here: here.open(window=50).write(buffer(blob(70))))

    assert live.sent_data == [blob(50)]
    assert live.counts == (1, 0)


def test_what_is_kept_is_not_what_the_writer_goes_on_to_change() -> None:
    def life(here: Established) -> None:
        mine = bytearray(b"first")
        here.open(window=2).write(mine)
        mine[:] = b"other"
        here.receive(here.peer.adjust(3))

    assert both_ways(life).sent_data == [b"fi", b"rst"]


@pytest.mark.parametrize("buffer", BUFFERS, ids=range(len(BUFFERS)))
def test_nothing_is_sent_of_nothing(buffer: Callable[[bytes], Any]) -> None:
    assert both_ways(lambda here: here.open().write(buffer(b""))).sent == []


def test_a_huge_write_goes_out_whole() -> None:
    data = blob(64 * MEGABYTE)

    def life(here: Established) -> None:
        channel = here.open()
        channel.write(data)
        while channel._send_buf:
            here.receive(here.peer.adjust(WINDOW))

    live = both_ways(life)

    assert b"".join(live.sent_data) == data


def test_extended_data_takes_asyncsshs_way_and_keeps_its_place() -> None:
    def life(here: Established) -> None:
        channel = here.open(window=12)
        channel._write_datatypes = {1}
        for data, kind in ((b"one", None), (b"two", 1), (b"three", None), (b"four", 1)):
            channel.write(data, kind)
        channel.write(b"five")
        here.receive(here.peer.adjust(WINDOW))

    live = both_ways(life)

    whole = [
        payload[9:] if payload[0] == MSG_CHANNEL_DATA else payload[13:] for payload, _ in live.sent
    ]
    assert whole == [b"one", b"two", b"three", b"f", b"our", b"five"]
    assert live.sent_numbers.count(MSG_CHANNEL_EXTENDED_DATA) == 3


@pytest.mark.parametrize("state", ["eof_pending", "eof", "close_pending", "closed"])
def test_a_channel_that_is_closed_for_sending_refuses_data(state: str) -> None:
    def life(here: Established) -> None:
        channel = here.open()
        channel._send_state = state
        with pytest.raises(BrokenPipeError):
            channel.write(b"late")

    assert both_ways(life).sent == []


@pytest.mark.parametrize("window", [0, 3, WINDOW])
@pytest.mark.parametrize(
    ("end", "number"), [("write_eof", MSG_CHANNEL_EOF), ("close", MSG_CHANNEL_CLOSE)]
)
def test_an_end_comes_behind_what_was_written(window: int, end: str, number: int) -> None:
    def life(here: Established) -> None:
        channel = here.open(window=window)
        channel.write(b"last words")
        getattr(channel, end)()
        here.receive(here.peer.adjust(10))

    live = both_ways(life)

    assert b"".join(live.sent_data) == b"last words"
    assert live.sent_numbers[-1] == number


def test_an_abort_drops_what_was_kept() -> None:
    def life(here: Established) -> None:
        channel = here.open(window=3)
        channel.write(b"last words")
        channel.abort()
        here.receive(here.peer.adjust(10))

    live = both_ways(life)

    assert live.sent_data == [b"las"]
    assert live.sent_numbers == [MSG_CHANNEL_DATA, MSG_CHANNEL_CLOSE]
