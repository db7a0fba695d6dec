"""Whether a connection has channels, and since when it has had none.

Probes of the peer do not count. It opens and closes nothing.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from tunnelkeeper.ssh.liveness import ProbeChannel

if TYPE_CHECKING:
    from collections.abc import Callable

    from asyncssh.channel import SSHChannel
    from asyncssh.connection import SSHConnection

    Base = SSHConnection
else:
    Base = object


class ChannelUsageMixin(Base):
    """The channels of a connection.

    Attributes:
        on_idle: Called whenever the last channel is closed.
        unused_since: Monotonic seconds since when there has been no channel, or None while there
            is one. The end of the connection does not count.
        probe_count: The channels that are probes of the peer.
    """

    probe_count: int

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.on_idle: Callable[[], None] | None = None
        self.unused_since: float | None = None

    @property
    def channel_count(self) -> int:
        """The number of channels that are open or opening, without probes of the peer."""
        return len(self._channels) - self.probe_count

    def add_channel(self, chan: SSHChannel[Any]) -> int:
        """Add a channel, and return its number."""
        if not isinstance(chan, ProbeChannel):
            self.unused_since = None
        return super().add_channel(chan)

    def remove_channel(self, recv_chan: int) -> None:
        """Remove a channel that is closed on both sides."""
        is_probe = isinstance(self._channels.get(recv_chan), ProbeChannel)
        super().remove_channel(recv_chan)
        if is_probe:
            self.probe_count -= 1
        elif not self.channel_count:
            if self._transport is not None:  # asyncssh removes it when the connection has ended
                self.unused_since = time.monotonic()
            if self.on_idle is not None:
                self.on_idle()
