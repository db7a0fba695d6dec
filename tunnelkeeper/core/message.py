"""A message for people and its hint, and the lines that every output shows of them.

A message is subject, verb and cause. The hint is what to do about it: a command to paste if one
command solves it, otherwise a sentence. It prints nothing.
"""

from __future__ import annotations

from dataclasses import dataclass

from tunnelkeeper.core.text import RECORD_LIMIT, printable

HINT_LABEL = "  hint: "
"""The start of the line below a message that has its hint."""


@dataclass(frozen=True, slots=True)
class Message:
    """A message. hint: what to do about it, or empty."""

    text: str
    hint: str = ""

    @property
    def lines(self) -> list[str]:
        """The text, and below it the hint if there is one.

        A hint may have a name that a server sent, so it is made safe here too.
        """
        if not self.hint:
            return [self.text]
        return [self.text, HINT_LABEL + printable(self.hint, RECORD_LIMIT)]

    def __str__(self) -> str:
        return "\n".join(self.lines)

    def about(self, subject: object) -> Message:
        """Return the message with a subject in front of its text."""
        return Message(f"{subject}: {self.text}", self.hint)


class HintedError(Exception):
    """An error whose text is a message. hint: what to do about it, or empty."""

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint
