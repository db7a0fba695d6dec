"""The options of ssh(1): which take a value, and how each is supported. It parses nothing.

Honoured: it works as in ssh. Ignored: it is accepted, but has no effect or already applies.
Refused: without it the result would differ from what the user asked for. Some options matter only
to a session (a command, a subsystem or a shell); a command line that only forwards ignores them.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Support(StrEnum):
    """How an option is supported."""

    HONOURED = "honoured"
    IGNORED = "ignored"
    REFUSED = "refused"


@dataclass(frozen=True, slots=True)
class OptionRule:
    """The support of one option of ssh. reason: why it is not honoured.

    support_in_session: the support on a command line that starts a session; None: the same.
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
_ASKS_SSH = "it queries ssh and makes no connection"

OPTIONS = {
    "1": OptionRule(Support.REFUSED, "SSH protocol 1 is obsolete"),
    "2": OptionRule(Support.IGNORED, "SSH protocol 2 is the only one"),
    "4": _HONOURED_FLAG,
    "6": _HONOURED_FLAG,
    "A": _HONOURED_FLAG,
    "B": _with_value(),
    "C": _HONOURED_FLAG,
    "D": _with_value(),
    "E": _with_value(),
    "F": _with_value(),
    "G": OptionRule(Support.REFUSED, _ASKS_SSH),
    "I": _with_value(Support.REFUSED, "PKCS#11 is not supported; ssh-agent can hold such keys"),
    "J": _with_value(),
    "K": _GSSAPI,
    "L": _with_value(),
    "M": OptionRule(Support.IGNORED, "only the forwards of one command line share a connection"),
    "N": _HONOURED_FLAG,
    "O": _with_value(Support.REFUSED, "it controls a master connection of ssh"),
    "P": _with_value(),
    "Q": _with_value(Support.REFUSED, _ASKS_SSH),
    "R": _with_value(),
    "S": _with_value(Support.IGNORED, "only the forwards of one command line share a connection"),
    "T": _HONOURED_FLAG,
    "V": OptionRule(Support.REFUSED, _ASKS_SSH),
    "W": _with_value(),
    "X": _X11,
    "Y": _X11,
    "a": _HONOURED_FLAG,
    "b": _with_value(),
    "c": _with_value(),
    "e": _with_value(Support.IGNORED, "escape characters are not supported"),
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

_SHARING = "only the forwards of one command line share a connection"

IGNORED_KEYWORDS = {
    "controlmaster": _SHARING,
    "controlpath": _SHARING,
    "controlpersist": _SHARING,
}
"""Keywords of ssh_config(5), in lower case, that are ignored after -o."""


def support_of(letter: str, *, in_session: bool) -> Support:
    """Return the support of an option. in_session: the command line starts a session."""
    rule = OPTIONS[letter]
    return rule.support_in_session or rule.support if in_session else rule.support
