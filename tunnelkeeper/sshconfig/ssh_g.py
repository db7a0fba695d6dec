"""Host lookup with `ssh -G`. This module does not interpret the settings."""

from __future__ import annotations

import asyncio
import os
import shlex
import shutil
from contextlib import suppress
from typing import TYPE_CHECKING

from tunnelkeeper.core.failures import EXHAUSTION_ERRNOS
from tunnelkeeper.core.text import printable_end
from tunnelkeeper.core.token_expansion import escape_percent
from tunnelkeeper.net.child_process import ChildProcess
from tunnelkeeper.net.start_limiter import StartLimiter
from tunnelkeeper.sshconfig.lookup_request import SshConfigError
from tunnelkeeper.sshconfig.ssh_g_output import NONE, parse_output

if TYPE_CHECKING:
    from tunnelkeeper.sshconfig.local_facts import Facts
    from tunnelkeeper.sshconfig.lookup_request import Answer, Request

SSH = "ssh"
TIMEOUT = 5.0
"""Seconds for one run. It usually takes 10 ms; Match exec and canonical names (DNS) take longer."""
MAX_CONCURRENT = 4
"""Concurrent runs that are not slow: enough to be fast, few enough to leave the machine
responsive."""
PATIENCE = 0.1
"""Seconds after which a run is slow. It waits rather than computes, and no other waits for it."""

_ERRORS_LIMIT = 1000
"""Characters kept of ssh's errors. The last ones name the reason; warnings precede them."""

OUTPUT_TIMEOUT = 0.5
"""Seconds to read the remaining output after an exit."""

RESOLVER_ERROR = "Could not resolve host"
"""The error of OpenSSH's ssh.c if a name server does not answer for a canonical name. The exit
status does not identify it."""


def obstacle_to_ssh(facts: Facts) -> str | None:
    """Return why `ssh -G` cannot run, or None if it can."""
    if shutil.which(SSH) is None:
        return "ssh is not installed"
    if not facts.has_account:  # OpenSSH's ssh.c, main(): "No user exists for uid"
        return f"ssh does not run for uid {facts.uid}, which has no entry in the user database"
    return None


class SshQuery:
    """A query that runs `ssh -G`. timeout: seconds until the run and its children are ended."""

    def __init__(self, program: str = SSH, timeout: float = TIMEOUT) -> None:
        self._program = program
        self._timeout = timeout
        self._limiter = StartLimiter(MAX_CONCURRENT, PATIENCE)
        self._slow_limiter = StartLimiter(MAX_CONCURRENT, PATIENCE)
        self._slow: set[Request] = set()

    async def __call__(self, request: Request) -> Answer:
        """Return the settings that ssh prints.

        Raises SshConfigError with ssh's message, and OSError with one of EXHAUSTION_ERRNOS.
        """
        command = command_line(request, self._program)
        # A request that was slow last time competes with others like it only.
        limiter = self._slow_limiter if request in self._slow else self._limiter
        async with limiter.slot() as call:
            try:
                status, output, errors = await _run(command, self._timeout)
            except TimeoutError:
                raise SshConfigError(
                    f"ssh took more than {self._timeout:g} s to look {request.host} up",
                    verbose_command(request, self._program),
                    temporary=True,
                ) from None
            except OSError as error:
                if error.errno in EXHAUSTION_ERRNOS:
                    raise
                raise SshConfigError(f"cannot run {self._program}: {error.strerror}") from None
            finally:
                self._remember(request, is_slow=call.is_slow)
        if status != 0:
            message = (
                printable_end("; ".join(errors.split("\n")), _ERRORS_LIMIT)
                if errors
                else f"exit status {status}"
            )
            raise SshConfigError(
                f"ssh cannot look {request.host} up: {message}",
                shlex.join(command),
                temporary=RESOLVER_ERROR in errors,
            )
        return parse_output(output)

    def _remember(self, request: Request, *, is_slow: bool) -> None:
        if is_slow:
            self._slow.add(request)
        else:
            self._slow.discard(request)


def command_line(request: Request, program: str = SSH) -> list[str]:
    """Return the command line of `ssh -G`. ssh uses the first of several values for an option."""
    command = [program, "-G", *request.arguments]
    if request.source is not None:
        command += ["-F", request.source or "none"]
    if request.user is not None:
        command += ["-l", request.user]
    if request.port is not None:
        command += ["-p", str(request.port)]
    if request.hostname is not None:
        command += ["-o", f"HostName={escape_percent(request.hostname)}"]
    if request.jump == NONE:
        # ProxyJump=none would leave the ProxyCommand of ssh_config in effect.
        command += ["-o", "ProxyCommand=none"]
    elif request.jump is not None:
        command += ["-o", f"ProxyJump={request.jump}"]
    for keyword, value in request.options:
        command += ["-o", f"{keyword}={value}"]
    return [*command, "--", request.host, *request.command]


def verbose_command(request: Request, program: str = SSH) -> str:
    """Return the command, to paste, that shows what `ssh -G` does."""
    command = command_line(request, program)
    return shlex.join([*command[:1], "-v", *command[1:]])


async def _run(command: list[str], timeout: float) -> tuple[int, str, str]:
    """Run ssh. Return exit status, stdout and stderr. Raises OSError and TimeoutError."""
    process = await _SshProcess().start(command)
    try:
        async with asyncio.timeout(timeout):
            await process.exited.wait()
            # A background process of Match exec can hold the output open.
            with suppress(TimeoutError):
                async with asyncio.timeout(OUTPUT_TIMEOUT):
                    await process.ended.wait()
    except BaseException:
        await process.terminate()  # a command of Match exec too, which would outlive its ssh
        raise
    process.detach()
    output, errors = (os.fsdecode(bytes(data)) for data in process.output)
    return process.returncode or 0, output, errors.strip()


class _SshProcess(ChildProcess):
    """A running ssh, with its standard output and standard error."""

    def __init__(self) -> None:
        super().__init__()
        self.output = bytearray(), bytearray()

    def pipe_data_received(self, fd: int, data: bytes) -> None:
        """Keep the output."""
        self.output[fd - 1].extend(data)
