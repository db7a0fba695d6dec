"""One request of a login by password or keyboard-interactive, and what was sent for it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from tunnelkeeper.core.login_methods import PASSWORD
from tunnelkeeper.core.secret import wipe
from tunnelkeeper.questions.sources import Log

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tunnelkeeper.core.questions import Prompt
    from tunnelkeeper.core.secret import Secret

WAITING = "waiting for an answer"
"""What status shows while a login waits for a person."""

PASSWORD_CHANGE = "password change"  # noqa: S105  a label, not a secret
"""The label of a request that changes the password. Its secrets are a pair."""


class LoginAbandonedError(Exception):
    """A login ends before the server has decided, because no answer can be given."""


class LoginProgress(Log, Protocol):
    """Where a login reports what it does; a ProgressListener is one."""

    def debug(self, text: str) -> None:
        """Log a detail for troubleshooting."""

    def waiting(self, text: str) -> None:
        """Report what a person must do for the login to go on; empty if nothing any more."""


@dataclass(slots=True)
class Request:
    """One request of a login, up to the server's decision.

    Attributes:
        secrets: The answers without echo that were sent, in order.
        answers: All answers to prompts of the server.
        password: That of them which is the password now, if it is known.
        source: Which store the password comes from; empty if it was typed.
        is_typed: Whether a person has answered.
        has_codes: Whether other things than a password were asked for.
        changes: The answers to prompts that change the password.
        is_change: Whether it is a request that changes the password (RFC 4252 section 8).
    """

    method: str
    secrets: list[Secret] = field(default_factory=list)
    answers: list[Secret] = field(default_factory=list)
    password: Secret | None = None
    source: str = ""
    is_typed: bool = False
    has_codes: bool = False
    changes: list[Secret] = field(default_factory=list)
    is_change: bool = False

    @property
    def is_begun(self) -> bool:
        """Whether the server waits for the answer to a question of its own."""
        return self.is_change or self.method != PASSWORD

    @property
    def label(self) -> str:
        """The name under which its secrets are remembered if they are refused."""
        return PASSWORD_CHANGE if self.is_change else self.method

    @property
    def proved_password(self) -> Secret | None:
        """The password that a success proves, after a change the new one. None: not known."""
        if not self.changes:
            return self.password
        *_, first, second = [None, *self.changes]
        return second if first == second else None

    def wipe(self) -> None:
        """Wipe its secrets and all other answers."""
        wipe([*self.secrets, *self.answers])


def hidden(answers: Sequence[Secret], prompts: Sequence[Prompt]) -> list[Secret]:
    """Return the answers that were typed without echo."""
    return [answer for answer, prompt in zip(answers, prompts, strict=True) if not prompt.echo]
