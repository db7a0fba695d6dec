"""Values of ssh_config(5) with a grammar of their own, as words. It looks nothing up.

RekeyLimit, IPQoS, StreamLocalBindMask, ChannelTimeout and AddKeysToAgent, as a person writes them
and as `ssh -G` prints them.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Literal

from msgspec import Struct

if TYPE_CHECKING:
    from collections.abc import Sequence

NONE = "none"
DEFAULT = "default"

LOGIN_METHODS = ("publickey", "keyboard-interactive", "password")
"""The methods of PreferredAuthentications that are supported, in ssh's order."""

OTHER_LOGIN_METHODS = ("gssapi-with-mic", "hostbased", "none")
"""Methods that PreferredAuthentications may name as well."""

_SIZE = re.compile(r"(\d{1,18})([bkmgt]?)", re.ASCII | re.IGNORECASE)
_UNITS = {"": 0, "b": 0, "k": 10, "m": 20, "g": 30, "t": 40}
_INTERVAL = re.compile(r"(?:\d{1,9}[smhdw])*(?:\d{1,9}[smhdw]?)", re.ASCII)
_AMOUNT = re.compile(r"(\d+)([smhdw]?)", re.ASCII)
_SECONDS = {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}
SMALLEST_REKEY_LIMIT = 16
"""Bytes. OpenSSH refuses a smaller limit."""

_CLASSES = {
    **{f"af{x}{y}": (8 * x + 2 * y) << 2 for x in range(1, 5) for y in range(1, 4)},
    **{f"cs{x}": x << 5 for x in range(8)},
    "ef": 46 << 2,
    "le": 1 << 2,
    "va": 44 << 2,
    "lowdelay": 0x10,
    "reliability": 0x04,
    "throughput": 0x08,
}
"""RFC 2474, 2597, 3246, 8622 and 5865; RFC 1349 for the last three."""

DEFAULT_BIND_MASK = 0o177


class SocketFileRules(Struct, frozen=True):
    """How the file of a Unix socket is created here.

    mask: the permissions that it lacks. unlink: whether a file that exists is removed first, even a
    socket that a program listens on.
    """

    mask: int = DEFAULT_BIND_MASK
    unlink: bool = False


PRIVATE_SOCKET_FILE = SocketFileRules()


class ValueFormatError(ValueError):
    """Raised for a value that does not follow ssh_config(5). The text says what was expected."""


class RekeyLimit(Struct, frozen=True):
    """When the keys of a connection are renegotiated. 0: the default."""

    size: int = 0
    seconds: int = 0


class IpQos(Struct, frozen=True):
    """The type of service (traffic class) of packets. None: the system's default."""

    interactive: int | None = None
    bulk: int | None = None


class ChannelTimeout(Struct, frozen=True):
    """Idle channels of a type are closed after some seconds. type: a pattern of names."""

    type: str
    seconds: int


class AgentAddition(Struct, frozen=True):
    """Whether a key that was used is added to the agent. seconds: its lifetime; 0: no limit."""

    how: Literal["no", "yes", "ask", "confirm"] = "no"
    seconds: int = 0


def parse_rekey_limit(words: Sequence[str]) -> RekeyLimit:
    """Parse a size (`1G` or `default`) and an optional interval (`1h` or `none`).

    Like the other parsers, it returns the default for no words.

    Raises ValueFormatError.
    """
    match [word.lower() for word in words]:
        case []:
            return RekeyLimit()
        case [size]:
            return RekeyLimit(_parse_size(size))
        case [size, interval]:
            seconds = 0 if interval == NONE else parse_interval(interval)
            return RekeyLimit(_parse_size(size), seconds)
    raise ValueFormatError(f"expected a size such as 1G, and an interval, got {' '.join(words)!r}")


def parse_interval(text: str) -> int:
    """Parse a time as in sshd_config(5), TIME FORMATS: `90`, `1h30m`.

    Raises ValueFormatError.
    """
    lower = text.lower()
    if _INTERVAL.fullmatch(lower) is None:
        raise ValueFormatError(f"expected a time such as 90, 10m or 1h30m, got {text!r}")
    return sum(int(amount) * _SECONDS[unit] for amount, unit in _AMOUNT.findall(lower))


def parse_ip_qos(words: Sequence[str]) -> IpQos:
    """Parse one class for everything, or one for terminals and one for the rest.

    Raises ValueFormatError.
    """
    match words:
        case []:
            return IpQos()
        case [one]:
            return IpQos(_parse_class(one), _parse_class(one))
        case [interactive, bulk]:
            return IpQos(_parse_class(interactive), _parse_class(bulk))
    raise ValueFormatError(f"expected one or two classes such as af21, got {' '.join(words)!r}")


def parse_bind_mask(words: Sequence[str]) -> int:
    """Parse an octal mask of file modes.

    Raises ValueFormatError.
    """
    if not words:
        return DEFAULT_BIND_MASK
    text = " ".join(words)
    if not re.fullmatch(r"(0o?)?[0-7]{1,4}", text, re.ASCII) or int(text, 8) > 0o777:
        raise ValueFormatError(f"expected an octal mask such as 0177, got {text!r}")
    return int(text, 8)


def parse_channel_timeouts(words: Sequence[str]) -> tuple[ChannelTimeout, ...]:
    """Parse `type=interval` pairs, or `none` alone. An interval of 0 never ends.

    Raises ValueFormatError.
    """
    if [word.lower() for word in words] == [NONE]:
        return ()
    return tuple(_parse_channel_timeout(word) for word in words)


def parse_agent_addition(words: Sequence[str]) -> AgentAddition:
    """Parse `no`, `yes`, `ask`, `confirm`, a lifetime, or `confirm` and a lifetime.

    Raises ValueFormatError.
    """
    match [word.lower() for word in words]:
        case [] | ["no" | "false"]:
            return AgentAddition()
        case ["yes" | "true"]:
            return AgentAddition("yes")
        case ["ask"]:
            return AgentAddition("ask")
        case ["confirm", *lifetime] if len(lifetime) < 2:
            return AgentAddition("confirm", parse_interval(lifetime[0]) if lifetime else 0)
        case [lifetime] if _INTERVAL.fullmatch(lifetime):
            return AgentAddition("yes", parse_interval(lifetime))
    raise ValueFormatError(
        "expected yes, no, ask, confirm, a time such as 8h, or confirm and a time, "
        f"got {' '.join(words)!r}"
    )


def _parse_channel_timeout(word: str) -> ChannelTimeout:
    kind, equals, interval = word.partition("=")
    if not (kind and equals):
        raise ValueFormatError(f"expected TYPE=TIME, as direct-tcpip=10m, got {word!r}")
    return ChannelTimeout(kind, parse_interval(interval))


def _parse_size(text: str) -> int:
    if text == DEFAULT:
        return 0
    match = _SIZE.fullmatch(text)
    size = int(match[1]) << _UNITS[match[2]] if match else -1
    if size < 0 or 0 < size < SMALLEST_REKEY_LIMIT:
        smallest = f"at least {SMALLEST_REKEY_LIMIT} bytes"
        raise ValueFormatError(f"expected a size such as 500M or 1G, {smallest}, got {text!r}")
    return size


def _parse_class(text: str) -> int | None:
    name = text.lower()
    if name == NONE:
        return None
    if name in _CLASSES:
        return _CLASSES[name]
    if re.fullmatch(r"0x[0-9a-f]{1,2}|0[0-7]{0,3}|[1-9]\d{0,2}", name, re.ASCII):
        base = 8 if name.isdecimal() and name.startswith("0") else 0
        if (number := int(name, base)) < 256:
            return number
    raise ValueFormatError(f"expected a class such as af21, cs1 or none, or a number, got {text!r}")
