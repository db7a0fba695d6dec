"""How a command that did not do what it was asked ends: with a message and an exit code."""

from __future__ import annotations

from tunnelkeeper.core.exit_codes import ExitCode


class CommandError(Exception):
    """A command did not do what it was asked; the message is for stderr."""

    def __init__(self, message: str, code: ExitCode = ExitCode.FAILED) -> None:
        super().__init__(message)
        self.code = code
