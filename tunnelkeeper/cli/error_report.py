"""Exceptions that end a command, as exit code, message and hint. It prints nothing."""

from __future__ import annotations

import msgspec

from tunnelkeeper.cli.settings import CommandError
from tunnelkeeper.control.client_errors import ForeignSocketError, NoSupervisorError, RemoteError
from tunnelkeeper.control.jsonrpc import ProtocolError
from tunnelkeeper.core.exit_codes import ExitCode
from tunnelkeeper.core.library_version import LibraryVersionError

CODES: dict[type[Exception], ExitCode] = {
    NoSupervisorError: ExitCode.NO_SUPERVISOR,
    ForeignSocketError: ExitCode.NO_SUPERVISOR,
    TimeoutError: ExitCode.TIMED_OUT,
    LibraryVersionError: ExitCode.FAILED,
}
"""The exit code of errors whose text is the message."""

EXPECTED = (CommandError, RemoteError, ProtocolError, OSError, *CODES)
"""What a command may end with. Anything else is a fault of the program."""


class ErrorReport(msgspec.Struct, frozen=True):
    """Why a command failed. Its fields are those of `error` with --json.

    code: the exit code. hint: what to do about it, or empty. problems: a line for each problem of a
    config file.
    """

    code: int
    message: str
    hint: str = ""
    problems: list[str] = []


def describe(error: Exception) -> ErrorReport:
    """Return why a command failed. An exception that no module expects is an internal error."""
    match error:
        case CommandError():
            return ErrorReport(error.code, str(error), _hint_of(error), list(error.problems))
        case RemoteError():  # its codes are exit codes, those of JSON-RPC are not
            code = error.code if error.code in set(ExitCode) else ExitCode.FAILED
            return ErrorReport(code, error.message, _hint_of(error), error.problems)
    for kind, code in CODES.items():
        if isinstance(error, kind):
            return ErrorReport(code, str(error), _hint_of(error))
    match error:
        case ProtocolError():
            message = f"cannot understand the supervisor: {error}"
        case OSError():
            where = f"{error.filename}: " if error.filename else ""
            message = f"{where}{error.strerror or error}"
        case _:
            message = f"unexpected {type(error).__name__}: {error} (-v shows the traceback)"
    return ErrorReport(ExitCode.FAILED, message, _hint_of(error))


def _hint_of(error: Exception) -> str:
    return str(getattr(error, "hint", ""))
