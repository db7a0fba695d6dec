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
from tunnelkeeper.core.text import printable
from tunnelkeeper.core.token_expansion import (
    COMMAND_TOKENS,
    KEY_COMMAND_TOKENS,
    TokenError,
    expand,
)
from tunnelkeeper.net.child_process import program_path
from tunnelkeeper.net.error_text import os_error_text
from tunnelkeeper.questions.printed_answer import NoAnswerError, PrintedAnswer
from tunnelkeeper.questions.sources import Found, SourceError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from tunnelkeeper.core.configuration import Host
    from tunnelkeeper.core.secret import Secret
    from tunnelkeeper.questions.sources import HopKey, Log

    _LineLog = Callable[[str], None]

COMMAND_TIMEOUT = 60.0
"""Seconds for one run. A password manager may ask its user to unlock it."""


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
            except (TokenError, NoAnswerError) as error:
                raise SourceError(
                    f"{name} of {printable(host.name)} failed: {printable(str(error))}"
                ) from None
        return Found(secret, name)

    async def _run(self, words: list[str], log: _LineLog) -> Secret:
        """Run a program; return the first line of its output. Raises NoAnswerError and OSError."""
        run = PrintedAnswer(log)
        inherited = {k: v for k, v in os.environ.items() if k not in PRIVATE_VARIABLES}
        try:
            async with asyncio.timeout(self.timeout):
                await run.start([program_path(words[0]), *words[1:]], env=inherited)
                await run.exited.wait()
            await run.read_rest()
            answer = run.answer()
        except TimeoutError:
            raise NoAnswerError(f"it took more than {self.timeout:g} s") from None
        except (OSError, ValueError) as error:
            if isinstance(error, OSError) and error.errno in EXHAUSTION_ERRNOS:
                raise
            reason = os_error_text(error) if isinstance(error, OSError) else str(error)
            raise NoAnswerError(f"{words[0]} cannot be started: {reason}") from None
        finally:
            await run.end()
        if not answer:
            raise NoAnswerError("the first line of its output is empty")
        return answer
