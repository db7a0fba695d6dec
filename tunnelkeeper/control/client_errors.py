"""The errors of the control socket's clients."""

from __future__ import annotations

from typing import TYPE_CHECKING, Self

from tunnelkeeper.control.jsonrpc import Error, ErrorCode, ProtocolError
from tunnelkeeper.core.text import printable

if TYPE_CHECKING:
    from pathlib import Path

_SHOWN_LIMIT = 80  # characters of another program's answer


class NoSupervisorError(Exception):
    """No supervisor answers on the control socket, or it ended during a call."""

    def __init__(self, path: Path) -> None:
        super().__init__(f"no supervisor is running at {path}; start one with `tunnelkeeper up`")


class ForeignSocketError(ProtocolError):
    """Another program listens on the control socket, or the path is no socket for connections."""

    def __init__(self, path: Path, answer: bytes | None = None) -> None:
        what = "is a socket of another program"
        if answer is not None:
            text = answer.decode("utf-8", "backslashreplace").strip()
            what += f", which answered '{printable(text, _SHOWN_LIMIT)}'"
        message = f"{path} {what}; choose another path with --socket"
        super().__init__(ErrorCode.PARSE_ERROR, message)


class UntrustedSocketError(ForeignSocketError):
    """Another user listens on the control socket, or could have put it there."""

    def __init__(self, path: Path, reason: str) -> None:
        message = (
            f"{path} is not trusted: {reason}. Nothing was sent; "
            "name the socket of your supervisor with --socket"
        )
        ProtocolError.__init__(self, ErrorCode.PARSE_ERROR, message)


class RemoteError(Exception):
    """The supervisor refused a request. problems: one line per problem of the config file."""

    def __init__(self, code: int, message: str, problems: list[str]) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.problems = problems

    @classmethod
    def from_error(cls, error: Error) -> Self:
        """Return the exception for an error on the wire."""
        return cls(error.code, error.message, error.data.problems if error.data else [])
