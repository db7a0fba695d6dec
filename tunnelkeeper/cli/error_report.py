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

TRACEBACK_HINT = "run it again as `tunnelkeeper -v ...`, which shows the traceback, and report it"
"""What to do about a fault of the program."""

EXPECTED = (CommandError, RemoteError, ProtocolError, OSError, *CODES)
"""What a command may end with. Anything else is a fault of the program."""


class ErrorReport(msgspec.Struct, frozen=True):
    """Why a command failed. Its fields are those of `error` with --json.

    code: the exit code. hint: what to do about it, or empty. problems: a line for each problem of a
    config file. hints: what to do about each of them, or empty.
    """

    code: int
    message: str
    hint: str = ""
    problems: list[str] = []
    hints: list[str] = []


def describe(error: Exception) -> ErrorReport:
    """Return why a command failed. An exception that no module expects is an internal error."""
    match error:
        case CommandError():
            return _with_problems(error.code, error)
        case RemoteError():  # its codes are exit codes, those of JSON-RPC are not
            code = error.code if error.code in set(ExitCode) else ExitCode.FAILED
            return _with_problems(code, error)
    hint = getattr(error, "hint", "")
    for kind, code in CODES.items():
        if isinstance(error, kind):
            return ErrorReport(code, str(error), hint)
    match error:
        case ProtocolError():
            message = f"cannot understand the supervisor: {error}"
        case OSError():
            where = f"{error.filename}: " if error.filename else ""
            message = f"{where}{error.strerror or error}"
        case _:
            message, hint = f"unexpected {type(error).__name__}: {error}", TRACEBACK_HINT
    return ErrorReport(ExitCode.FAILED, message, hint)


def _with_problems(code: int, error: CommandError | RemoteError) -> ErrorReport:
    problems, hints = [each.text for each in error.problems], [each.hint for each in error.problems]
    return ErrorReport(code, str(error), error.hint, problems, hints)
