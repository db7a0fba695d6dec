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

    TAKEN = "taken"
    NOTED = "noted"
    REFUSED = "refused"


@dataclass(frozen=True, slots=True)
class Meaning:
    """An option of ssh. why: what to tell of it, where it is not simply taken.

    in_session: its fate on a line that runs something; None: the same.
    """

    fate: Support = Support.TAKEN
    why: str = ""
    takes_value: bool = False
    in_session: Support | None = None


def _takes(fate: Support = Support.TAKEN, why: str = "") -> Meaning:
    return Meaning(fate, why, takes_value=True)


_TAKEN = Meaning()
_X11 = Meaning(Support.NOTED, "X11 is not forwarded", in_session=Support.REFUSED)
_GSSAPI = Meaning(Support.NOTED, "GSSAPI is not used to log in")
_ASKS_SSH = "it asks something of ssh and connects to nothing"

OPTIONS = {
    "1": Meaning(Support.REFUSED, "SSH protocol 1 is not spoken by any ssh of today"),
    "2": Meaning(Support.NOTED, "SSH protocol 2 is the only one"),
    "4": _TAKEN,
    "6": _TAKEN,
    "A": _TAKEN,
    "B": _takes(Support.REFUSED, "binding to an interface is not supported; -b takes its address"),
    "C": _TAKEN,
    "D": _takes(),
    "E": _takes(),
    "F": _takes(),
    "G": Meaning(Support.REFUSED, _ASKS_SSH),
    "I": _takes(Support.REFUSED, "PKCS#11 is not supported; ssh-agent can hold such keys"),
    "J": _takes(),
    "K": _GSSAPI,
    "L": _takes(),
    "M": Meaning(Support.NOTED, "a connection is shared by its own forwards only"),
    "N": _TAKEN,
    "O": _takes(Support.REFUSED, "it speaks to a master connection of ssh"),
    "P": _takes(),
    "Q": _takes(Support.REFUSED, _ASKS_SSH),
    "R": _takes(),
    "S": _takes(Support.NOTED, "a connection is shared by its own forwards only"),
    "T": _TAKEN,
    "V": Meaning(Support.REFUSED, _ASKS_SSH),
    "W": _takes(),
    "X": _X11,
    "Y": _X11,
    "a": _TAKEN,
    "b": _takes(),
    "c": _takes(),
    "e": _takes(Support.NOTED, "no escape character is looked for"),
    "f": _TAKEN,
    "g": _TAKEN,
    "i": _takes(),
    "k": _GSSAPI,
    "l": _takes(),
    "m": _takes(),
    "n": _TAKEN,
    "o": _takes(),
    "p": _takes(),
    "q": _TAKEN,
    "s": _TAKEN,
    "t": _TAKEN,
    "v": _TAKEN,
    "w": _takes(Support.REFUSED, "tun(4) devices are not supported"),
    "x": Meaning(Support.NOTED, "X11 is not forwarded anyway"),
    "y": _TAKEN,
}
"""Every option of ssh(1) as of OpenSSH 9.9, by its letter."""

_SHARING = "a connection is shared by its own forwards only"

NOTED_KEYWORDS = {
    "batchmode": "nothing is ever asked",
    "controlmaster": _SHARING,
    "controlpath": _SHARING,
    "controlpersist": _SHARING,
}
"""Keywords of ssh_config(5) that are noted when they stand behind -o, in lower case."""


def fate_of(letter: str, *, in_session: bool) -> Support:
    """What becomes of an option, on a line that runs something or on one that only forwards."""
    meaning = OPTIONS[letter]
    return meaning.in_session or meaning.fate if in_session else meaning.fate
