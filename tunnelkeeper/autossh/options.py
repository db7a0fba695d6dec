"""The options of ssh(1): which take a value, and what becomes of each one here.

Taken: it does what it does with ssh. Noted: it is accepted, and means nothing here or is so anyway.
Refused: the user would get something else than asked for. Some matter to a session (a command, a
subsystem or a shell) only, and are noted on a line that only forwards. Nothing is parsed here.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Support(StrEnum):
    """What becomes of an option."""

    HONOURED = "taken"
    IGNORED = "noted"
    REFUSED = "refused"


@dataclass(frozen=True, slots=True)
class OptionRule:
    """An option of ssh. why: what to tell of it, where it is not simply taken.

    in_session: its fate on a line that runs something; None: the same.
    """

    support: Support = Support.HONOURED
    reason: str = ""
    takes_value: bool = False
    support_in_session: Support | None = None


def _with_value(support: Support = Support.HONOURED, reason: str = "") -> OptionRule:
    return OptionRule(support, reason, takes_value=True)


_HONOURED_FLAG = OptionRule()
_X11 = OptionRule(Support.IGNORED, "X11 is not forwarded", support_in_session=Support.REFUSED)
_GSSAPI = OptionRule(Support.IGNORED, "GSSAPI is not used to log in")
_ASKS_SSH = "it asks something of ssh and connects to nothing"

OPTIONS = {
    "1": OptionRule(Support.REFUSED, "SSH protocol 1 is not spoken by any ssh of today"),
    "2": OptionRule(Support.IGNORED, "SSH protocol 2 is the only one"),
    "4": _HONOURED_FLAG,
    "6": _HONOURED_FLAG,
    "A": _HONOURED_FLAG,
    "B": _with_value(
        Support.REFUSED, "binding to an interface is not supported; -b takes its address"
    ),
    "C": _HONOURED_FLAG,
    "D": _with_value(),
    "E": _with_value(),
    "F": _with_value(),
    "G": OptionRule(Support.REFUSED, _ASKS_SSH),
    "I": _with_value(Support.REFUSED, "PKCS#11 is not supported; ssh-agent can hold such keys"),
    "J": _with_value(),
    "K": _GSSAPI,
    "L": _with_value(),
    "M": OptionRule(Support.IGNORED, "a connection is shared by its own forwards only"),
    "N": _HONOURED_FLAG,
    "O": _with_value(Support.REFUSED, "it speaks to a master connection of ssh"),
    "P": _with_value(),
    "Q": _with_value(Support.REFUSED, _ASKS_SSH),
    "R": _with_value(),
    "S": _with_value(Support.IGNORED, "a connection is shared by its own forwards only"),
    "T": _HONOURED_FLAG,
    "V": OptionRule(Support.REFUSED, _ASKS_SSH),
    "W": _with_value(),
    "X": _X11,
    "Y": _X11,
    "a": _HONOURED_FLAG,
    "b": _with_value(),
    "c": _with_value(),
    "e": _with_value(Support.IGNORED, "no escape character is looked for"),
    "f": _HONOURED_FLAG,
    "g": _HONOURED_FLAG,
    "i": _with_value(),
    "k": _GSSAPI,
    "l": _with_value(),
    "m": _with_value(),
    "n": _HONOURED_FLAG,
    "o": _with_value(),
    "p": _with_value(),
    "q": _HONOURED_FLAG,
    "s": _HONOURED_FLAG,
    "t": _HONOURED_FLAG,
    "v": _HONOURED_FLAG,
    "w": _with_value(Support.REFUSED, "tun(4) devices are not supported"),
    "x": OptionRule(Support.IGNORED, "X11 is not forwarded anyway"),
    "y": _HONOURED_FLAG,
}
"""Every option of ssh(1) as of OpenSSH 9.9, by its letter."""

_SHARING = "a connection is shared by its own forwards only"

IGNORED_KEYWORDS = {
    "batchmode": "nothing is ever asked",
    "controlmaster": _SHARING,
    "controlpath": _SHARING,
    "controlpersist": _SHARING,
}
"""Keywords of ssh_config(5) that are noted when they stand behind -o, in lower case."""


def support_of(letter: str, *, in_session: bool) -> Support:
    """What becomes of an option, on a line that runs something or on one that only forwards."""
    rule = OPTIONS[letter]
    return rule.support_in_session or rule.support if in_session else rule.support
