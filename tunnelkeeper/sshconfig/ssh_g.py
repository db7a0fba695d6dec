"""Asks `ssh -G` what holds for a host. What the answer means is decided elsewhere."""

from __future__ import annotations

import asyncio
import os
import shlex
import shutil
import signal
from contextlib import suppress
from typing import TYPE_CHECKING

from tunnelkeeper.core.failures import EXHAUSTION_ERRNOS
from tunnelkeeper.core.text import printable
from tunnelkeeper.net.fd_limits import with_inherited_limit
from tunnelkeeper.sshconfig.lookup_request import SshConfigError
from tunnelkeeper.sshconfig.ssh_g_output import parse_output

if TYPE_CHECKING:
    from tunnelkeeper.sshconfig.lookup_request import Answer, Request

SSH = "ssh"
TIMEOUT = 5.0
"""Seconds for one run. It takes 10 ms; Match exec and canonical names (DNS) can make it longer."""
MAX_CONCURRENT = 4
"""Runs at the same time: enough to be quick, too few to be felt by the machine."""

RESOLVER_ERROR = "Could not resolve host"
"""What OpenSSH's ssh.c says where canonical names need a name server that does not answer; its
exit status is that of every other trouble."""


def ssh_is_installed() -> bool:
    """Whether there is an ssh on PATH to ask."""
    return shutil.which(SSH) is not None


class SshQuery:
    """A query that runs ssh. deadline: seconds until a run is ended, Match exec and all."""

    def __init__(self, program: str = SSH, timeout: float = TIMEOUT) -> None:
        self._program = program
        self._timeout = timeout
        self._slots = asyncio.Semaphore(MAX_CONCURRENT)

    async def __call__(self, request: Request) -> Answer:
        """What ssh says.

        Raises SshConfigError with ssh's words, and OSError: EXHAUSTED.
        """
        command = command_line(request, self._program)
        async with self._slots:
            try:
                status, output, errors = await _run(command, self._timeout)
            except TimeoutError:
                raise SshConfigError(
                    f"ssh took more than {self._timeout:g} s to look {request.host} up",
                    f"see where it waits: {shlex.join([*command[:1], '-v', *command[1:]])}",
                    temporary=True,
                ) from None
            except OSError as error:
                if error.errno in EXHAUSTION_ERRNOS:
                    raise
                raise SshConfigError(f"cannot run {self._program}: {error.strerror}") from None
        if status != 0:
            message = (
                printable("; ".join(errors.split("\n"))) if errors else f"exit status {status}"
            )
            raise SshConfigError(
                f"ssh cannot look {request.host} up: {message}",
                f"ssh says the same to: {shlex.join(command)}",
                temporary=RESOLVER_ERROR in errors,
            )
        return parse_output(output)


def command_line(request: Request, program: str = SSH) -> list[str]:
    """The arguments that ask ssh. Of what is said twice it takes the first, as for any line."""
    command = [program, "-G", *request.arguments]
    if request.source is not None:
        command += ["-F", request.source or "none"]
    if request.user is not None:
        command += ["-l", request.user]
    if request.port is not None:
        command += ["-p", str(request.port)]
    if not request.jumps:
        command += ["-o", "ProxyJump=none"]
    for keyword, value in request.options:
        command += ["-o", f"{keyword}={value}"]
    return [*command, "--", request.host, *request.command]


async def _run(command: list[str], timeout: float) -> tuple[int, str, str]:
    """Exit status, standard output and standard error. Raises OSError and TimeoutError."""
    process = await asyncio.create_subprocess_exec(
        *with_inherited_limit(command),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        start_new_session=True,
    )
    try:
        async with asyncio.timeout(timeout):
            output, errors = await process.communicate()
    except BaseException:
        # The whole group: a command of Match exec outlives its ssh otherwise.
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        await process.wait()
        raise
    return process.returncode or 0, os.fsdecode(output), os.fsdecode(errors).strip()
