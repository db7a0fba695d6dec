"""passphrase_command and password_command: programs that print an answer on their first line.

A program runs without a shell, and no input reaches it. Its standard output is neither logged nor
kept; its standard error is logged.
"""

from __future__ import annotations

import asyncio
import os
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from tunnelkeeper.core.failures import EXHAUSTION_ERRNOS
from tunnelkeeper.core.hook_queue import PRIVATE_VARIABLES
from tunnelkeeper.core.questions import MAX_ANSWER_SIZE
from tunnelkeeper.core.secret import Secret
from tunnelkeeper.core.text import printable
from tunnelkeeper.core.token_expansion import (
    COMMAND_TOKENS,
    KEY_COMMAND_TOKENS,
    TokenError,
    expand,
)
from tunnelkeeper.net.child_process import ChildProcess, LineSplitter, program_path
from tunnelkeeper.net.error_text import os_error_text
from tunnelkeeper.questions.sources import Found, SourceError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from tunnelkeeper.core.configuration import Host
    from tunnelkeeper.questions.sources import HopKey, Log

    _LineLog = Callable[[str], None]

COMMAND_TIMEOUT = 60.0
"""Seconds for one run. A password manager may ask its user to unlock it."""

OUTPUT_TIMEOUT = 0.5
"""Seconds to read the remaining output after an exit; a child can hold it open."""

MAX_STDERR_LINES = 20
"""Logged lines of a program's standard error."""


@dataclass(slots=True)
class AnswerCommands:
    """The answers that programs print. For one key or hop, one program runs at a time."""

    timeout: float = COMMAND_TIMEOUT
    _locks: dict[tuple[str, str], asyncio.Lock] = field(default_factory=dict)

    async def passphrase(self, host: Host, path: str, log: Log) -> Found | None:
        """Return what passphrase_command prints for a key file, or None without that key.

        Raises:
            SourceError: The program failed or printed no answer.
            OSError: This machine is out of resources (EXHAUSTION_ERRNOS).
        """
        return await self._find("passphrase_command", host.passphrase_command, host, path, log)

    async def password(self, host: Host, key: HopKey, log: Log) -> Found | None:
        """Return what password_command prints for a hop, or None without that key.

        Raises as `passphrase` does.
        """
        return await self._find("password_command", host.password_command, host, key.hop, log)

    async def _find(
        self, name: str, command: Sequence[str], host: Host, about: str, log: Log
    ) -> Found | None:
        if not command:
            return None
        accepted = COMMAND_TOKENS
        tokens = host.tokens
        if name == "passphrase_command":
            accepted, tokens = KEY_COMMAND_TOKENS, {**tokens, "f": about}

        def report(line: str) -> None:
            text = f"{name}: {line}"
            log.info(text)

        lock = self._locks.setdefault((name, about), asyncio.Lock())
        async with lock:
            try:
                words = [command[0], *(expand(word, tokens, accepted) for word in command[1:])]
                secret = await self._run(words, report)
            except (TokenError, _RunError) as error:
                raise SourceError(
                    f"{name} of {printable(host.name)} failed: {printable(str(error))}"
                ) from None
        return Found(secret, name)

    async def _run(self, words: list[str], log: _LineLog) -> Secret:
        """Run a program; return the first line of its output. Raises _RunError and OSError."""
        run = _Run(log)
        inherited = {k: v for k, v in os.environ.items() if k not in PRIVATE_VARIABLES}
        try:
            async with asyncio.timeout(self.timeout):
                await run.start([program_path(words[0]), *words[1:]], env=inherited)
                await run.exited.wait()
            await run.read_rest()
            return run.answer()
        except TimeoutError:
            raise _RunError(f"it took more than {self.timeout:g} s") from None
        except (OSError, ValueError) as error:
            if isinstance(error, OSError) and error.errno in EXHAUSTION_ERRNOS:
                raise
            reason = os_error_text(error) if isinstance(error, OSError) else str(error)
            raise _RunError(f"{words[0]} cannot be started: {reason}") from None
        finally:
            await run.end()


class _RunError(Exception):
    """A run gave no answer; the text is the reason."""


class _Run(ChildProcess):
    """One run, with the first line of its output, of which no more than a byte too many is kept."""

    def __init__(self, log: _LineLog) -> None:
        super().__init__()
        self._line = bytearray()
        self._is_complete = False
        self._log = log
        self._lines_left = MAX_STDERR_LINES
        self._last_error = ""
        self._errors = LineSplitter(self._log_line)

    def pipe_data_received(self, fd: int, data: bytes) -> None:
        """Keep the first line of the output, and log the standard error."""
        if fd != 1:
            if self._lines_left:
                self._errors.feed(data)
        elif not self._is_complete:
            part, newline, _ = data.partition(b"\n")
            self._line += part[: MAX_ANSWER_SIZE + 2 - len(self._line)]
            self._is_complete = bool(newline) or len(self._line) > MAX_ANSWER_SIZE + 1

    async def read_rest(self) -> None:
        """Read what the program has printed before its exit."""
        try:
            async with asyncio.timeout(OUTPUT_TIMEOUT):
                await self.ended.wait()
        except TimeoutError:
            pass  # a child of it holds its output open

    def answer(self) -> Secret:
        """Return the answer. Raises _RunError."""
        self._errors.end()
        code = self.returncode
        if code:
            how = f"exit status {code}" if code > 0 else f"it was ended by signal {-code}"
            raise _RunError(f"{how}: {self._last_error}" if self._last_error else how)
        if self._line.endswith(b"\r"):
            del self._line[-1:]
        if not self._line:
            raise _RunError("the first line of its output is empty")
        if len(self._line) > MAX_ANSWER_SIZE:
            raise _RunError(f"the first line of its output has more than {MAX_ANSWER_SIZE} bytes")
        return Secret(bytes(self._line))

    async def end(self) -> None:
        """Wipe the output. End the program and its children if it still runs."""
        self._line[:] = bytes(len(self._line))
        self._line.clear()
        self._is_complete = True
        if self.exited.is_set():
            self.detach()
        else:
            await self.terminate()

    def _log_line(self, line: bytes) -> None:
        text = printable(line.decode("utf-8", "replace").strip())
        if not text or not self._lines_left:
            return
        self._lines_left -= 1
        self._last_error = text
        self._log(text if self._lines_left else f"{text} (further output is not logged)")
