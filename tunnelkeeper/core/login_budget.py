"""What a client may send before it has logged in, and what it may repeat how often afterwards.

A login needs one key exchange and a few packets for each key that is tried. A client that sends
more keeps the server busy without proving who it is. The clock is a parameter.
"""

from __future__ import annotations

from dataclasses import dataclass

PACKETS, PACKETS_PER_TRY = 128, 32
"""Packets for the handshake, and for each key: a query and a signature, with an empty MSG_IGNORE
before each packet, as some clients send it."""

BYTES, BYTES_PER_TRY = 128 * 1024, 32 * 1024
"""Bytes for the handshake, and for each key: twice the key or certificate, and a signature."""

UNLIMITED_TRIES = 512
"""Keys that a client may try if their number is not limited."""

REKEY_BURST = 4
REKEY_INTERVAL = 1.0
"""Seconds after which a connection may ask for new keys once more, REKEY_BURST times at once."""

REKEY_BYTES = 1024 * 1024
"""Received bytes after which it may ask once more too, since RekeyLimit of ssh counts bytes."""

PADDING_BURST, PADDING_PER_SECOND, PADDING_PER_PACKET = 1000, 100.0, 2
"""Messages that ask for nothing: how many at once, per second, and with each other packet."""


class LoginBudgetError(Exception):
    """Raised when a client has sent more than a login needs; the text says what."""


@dataclass(slots=True)
class LoginBudget:
    """What one connection may still send before its login."""

    packets: int
    size: int
    key_exchanges: int = 1

    @classmethod
    def for_tries(cls, tries: int) -> LoginBudget:
        """Return the budget for a number of keys to try; 0: their number is not limited."""
        tries = tries or UNLIMITED_TRIES
        return cls(PACKETS + tries * PACKETS_PER_TRY, BYTES + tries * BYTES_PER_TRY)

    def spend_packet(self, size: int) -> None:
        """Count a packet of a size in bytes.

        Raises LoginBudgetError.
        """
        self.packets -= 1
        self.size -= size
        if self.packets < 0:
            raise LoginBudgetError("more packets than a login needs")
        if self.size < 0:
            raise LoginBudgetError("more data than a login needs")

    def spend_key_exchange(self) -> None:
        """Count the start of a key exchange.

        Raises LoginBudgetError.
        """
        self.key_exchanges -= 1
        if self.key_exchanges < 0:
            raise LoginBudgetError("a second key exchange before the login")


class RekeyLimit:
    """The key exchanges that a client asks for after its login."""

    def __init__(self, now: float) -> None:
        self._credit = float(REKEY_BURST)
        self._counted_at = now

    def add_bytes(self, size: int) -> None:
        """Count received bytes."""
        self._credit = min(REKEY_BURST, self._credit + size / REKEY_BYTES)

    def delay(self, now: float) -> float:
        """Count a request for new keys; return the seconds after which to answer it."""
        earned = (now - self._counted_at) / REKEY_INTERVAL
        self._credit = min(REKEY_BURST, self._credit + earned) - 1
        self._counted_at = now
        return max(0.0, -self._credit * REKEY_INTERVAL)


class PaddingLimit:
    """The messages of a peer that ask for nothing: MSG_IGNORE, MSG_DEBUG and MSG_UNIMPLEMENTED.

    Some peers send an empty MSG_IGNORE with every packet, and few send more.
    """

    def __init__(self, now: float) -> None:
        self._credit = float(PADDING_BURST)
        self._counted_at, self._number = now, 0

    def delay(self, number: int, now: float) -> float:
        """Count a message; return the seconds after which to read on.

        number: the sequence number of its packet (RFC 4253 section 6.4), which counts the others.
        """
        others = max(0, number - self._number - 1)
        self._number = number
        elapsed = max(0.0, now - self._counted_at)
        earned = elapsed * PADDING_PER_SECOND + others * PADDING_PER_PACKET
        self._counted_at = now
        self._credit = min(PADDING_BURST, self._credit + earned) - 1
        return max(0.0, -self._credit / PADDING_PER_SECOND)
