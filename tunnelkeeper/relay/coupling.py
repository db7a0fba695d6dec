"""Joins two channels, of a client that opens a name and of the one that holds it.

The pump joins a socket and a channel; here both sides are channels, and nothing is bound.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from tunnelkeeper.forwarding.pump import PauseReason

if TYPE_CHECKING:
    from tunnelkeeper.forwarding.pump import ChannelEndpoint


def await_peer(end: ChannelEndpoint) -> None:
    """Hold what a channel receives until it is coupled: a server behind it may speak first."""
    end.pause_reading(PauseReason.ALONE)


def couple(opened: ChannelEndpoint, held: ChannelEndpoint) -> None:
    """Let two open channels serve each other from now on."""
    for end, other in ((opened, held), (held, opened)):
        if end.is_gone:
            other.end(clean=False)
            return
    opened.peer, held.peer = held, opened
    for end, other in ((opened, held), (held, opened)):
        if end.is_stalled:
            other.pause_reading(PauseReason.PEER_IS_FULL)
        if end.got_eof:
            other.write_eof()
    for end in (opened, held):
        end.resume_reading(PauseReason.ALONE)
