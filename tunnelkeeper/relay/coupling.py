"""Joins two channels, of a client that opens a name and of the one that holds it.

The pump joins a socket and a channel; here both sides are channels, and nothing is bound.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from tunnelkeeper.forwarding.pump import Hold

if TYPE_CHECKING:
    from tunnelkeeper.forwarding.pump import ChannelEnd


def await_peer(end: ChannelEnd) -> None:
    """Hold what a channel receives until it is coupled: a server behind it may speak first."""
    end.hold(Hold.ALONE)


def couple(opened: ChannelEnd, held: ChannelEnd) -> None:
    """Let two open channels serve each other from now on."""
    for end, other in ((opened, held), (held, opened)):
        if end.is_gone:
            other.end(clean=False)
            return
    opened.peer, held.peer = held, opened
    for end, other in ((opened, held), (held, opened)):
        if end.is_stalled:
            other.hold(Hold.PEER_IS_FULL)
        if end.got_eof:
            other.feed_eof()
    for end in (opened, held):
        end.release(Hold.ALONE)
