"""The errors of the control socket's clients."""

from __future__ import annotations

from itertools import zip_longest
from typing import TYPE_CHECKING, Self

from tunnelkeeper.control.jsonrpc import Error, ErrorCode, ErrorData, ProtocolError
from tunnelkeeper.core.message import Message
from tunnelkeeper.core.text import printable

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

_SHOWN_LIMIT = 80  # characters of another program's answer


class NoSupervisorError(Exception):
    """No supervisor answers on the control socket, or it ended during a call."""

    def __init__(self, path: Path) -> None:
        super().__init__(f"cannot connect to the supervisor at {path}: no supervisor is running")
        self.hint = "tunnelkeeper up --detach"


class ForeignSocketError(ProtocolError):
    """Another program listens on the control socket, or the path is no socket for connections."""

    def __init__(self, path: Path, answer: bytes | None = None) -> None:
        what = "is a socket of another program"
        if answer is not None:
            text = answer.decode("utf-8", "backslashreplace").strip()
            what += f", which answered '{printable(text, _SHOWN_LIMIT)}'"
        hint = "choose another path with --socket PATH"
        super().__init__(ErrorCode.PARSE_ERROR, f"{path} {what}", hint=hint)


class UntrustedSocketError(ForeignSocketError):
    """Another user listens on the control socket, or could have put it there."""

    def __init__(self, path: Path, reason: str) -> None:
        message = f"{path} is not trusted: {reason}. Nothing was sent"
        hint = "name the socket of your supervisor with --socket PATH"
        ProtocolError.__init__(self, ErrorCode.PARSE_ERROR, message, hint=hint)


class NotPermittedError(PermissionError):
    """This user may not use the control socket."""

    hint = (
        "only the user that a supervisor runs as may talk to it: run this as that user, or name "
        "the socket of your own supervisor with --socket PATH"
    )


class RemoteError(Exception):
    """The supervisor refused a request.

    problems: those of the config file. hint: what to do about it, or empty.
    """

    def __init__(
        self, code: int, message: str, problems: Sequence[Message] = (), hint: str = ""
    ) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.problems = tuple(problems)
        self.hint = hint

    @classmethod
    def from_error(cls, error: Error) -> Self:
        """Return the exception for an error on the wire."""
        data = error.data if error.data is not None else ErrorData()
        # An older supervisor sends no hints.
        pairs = zip_longest(data.problems, data.hints[: len(data.problems)], fillvalue="")
        problems = [Message(text, hint) for text, hint in pairs]
        return cls(error.code, error.message, problems, data.hint)
