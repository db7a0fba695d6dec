"""KnownHostsCommand of ssh_config(5): a program that prints lines of known_hosts.

It is run as ssh runs it: without a shell, once for the order of the host key algorithms, and again
for the key that the server presents if its arguments depend on that key. Its output and its time
are bounded. known_hosts parses the lines.
"""

from __future__ import annotations

import asyncio
import os
from base64 import b64encode
from typing import TYPE_CHECKING, Literal

from tunnelkeeper.core.failures import EXHAUSTION_ERRNOS, Cause, Failure, FailureError
from tunnelkeeper.core.text import printable
from tunnelkeeper.core.token_expansion import (
    KNOWN_HOSTS_TOKENS,
    PATH_TOKENS,
    TokenError,
    expand,
    token_letters,
)
from tunnelkeeper.net.child_process import ChildProcess
from tunnelkeeper.ssh.auth.key_blobs import WireError, WireReader
from tunnelkeeper.ssh.auth.known_hosts import HostKeyLine, fingerprint, parse
from tunnelkeeper.ssh.auth.openssh_certificate import presented_key

if TYPE_CHECKING:
    from tunnelkeeper.core.configuration import Host

COMMAND_TIMEOUT = 10.0
"""Seconds for one run."""
OUTPUT_LIMIT = 4 * 1024 * 1024
STDERR_LIMIT = 4096
NAME = "KnownHostsCommand"
NO_KEY = "NONE"
"""The value of the tokens of a key, as long as the server has presented none."""

Reason = Literal["ORDER", "HOSTNAME", "ADDRESS"]
"""Why the command is run: the token %I."""


class _Run(ChildProcess):
    """One run, with its output."""

    def __init__(self) -> None:
        super().__init__()
        self.output = bytearray()
        self.errors = bytearray()
        self.is_too_long = False

    def pipe_data_received(self, fd: int, data: bytes) -> None:
        """Keep the output, and end the run if there is too much of it."""
        if self.is_too_long:
            return  # it is being ended
        if fd == 1:
            self.output += data
            self.is_too_long = len(self.output) > OUTPUT_LIMIT
            if self.is_too_long:
                self.ended.set()
        elif len(self.errors) < STDERR_LIMIT:
            self.errors += data


def depends_on_key(host: Host) -> bool:
    """Return whether the arguments depend on the presented key or the reason of the run."""
    own = KNOWN_HOSTS_TOKENS - {"H"}
    accepted = PATH_TOKENS | KNOWN_HOSTS_TOKENS
    return any(token_letters(word, accepted) & own for word in host.known_hosts_command[1:])


async def run_known_hosts_command(
    host: Host, name: str, reason: Reason, key: bytes | None = None
) -> tuple[tuple[HostKeyLine, ...], tuple[str, ...]]:
    """Return the lines that the command prints, and a warning for each malformed one.

    name: the host as in known_hosts. key: the key or certificate that the server presents.

    Raises:
        FailureError: The command failed. Like ssh, do not connect then.
        OSError: This machine is out of resources (EXHAUSTION_ERRNOS).
    """
    command = _expand(host, name, reason, key)
    run = _Run()
    try:
        async with asyncio.timeout(COMMAND_TIMEOUT):
            await run.start(command)
            await run.ended.wait()
    except TimeoutError:
        raise _failed(host, f"it took more than {COMMAND_TIMEOUT:g} s") from None
    except (OSError, ValueError) as error:
        if isinstance(error, OSError) and error.errno in EXHAUSTION_ERRNOS:
            raise
        reason_text = error.strerror if isinstance(error, OSError) else str(error)
        raise _failed(host, f"{command[0]}: {reason_text}") from None
    finally:
        await run.terminate()
    if run.is_too_long:
        raise _failed(host, f"it printed more than {OUTPUT_LIMIT >> 20} MiB")
    if (code := run.returncode) != 0:
        last = run.errors.decode(errors="replace").strip().rpartition("\n")[2]
        how = f"exit status {code}"
        if code is not None and code < 0:
            how = f"it was ended by signal {-code}"
        raise _failed(host, f"{how}{last and f', {last}'}")
    return parse(run.output.decode("utf-8", "surrogateescape"), NAME)


def _expand(host: Host, name: str, reason: Reason, key: bytes | None) -> list[str]:
    tokens = {**host.tokens, "H": name, "I": reason, **_key_tokens(key)}
    accepted = PATH_TOKENS | KNOWN_HOSTS_TOKENS
    program, *arguments = host.known_hosts_command
    try:
        return [program, *(expand(word, tokens, accepted, os.environ) for word in arguments)]
    except TokenError as error:
        raise _failed(host, str(error)) from None


def _key_tokens(key: bytes | None) -> dict[str, str]:
    if key is None:
        return dict.fromkeys("fKt", NO_KEY)
    try:
        kind = WireReader(key).string().decode("ascii", "replace")
    except WireError:
        kind = NO_KEY
    encoded = b64encode(key).decode("ascii")
    return {"f": fingerprint(presented_key(key).blob), "K": encoded, "t": kind}


def _failed(host: Host, reason: str) -> FailureError:
    return FailureError(
        Failure(
            Cause.PROXY,
            f"known_hosts_command failed: {printable(reason)}",
            str(host),
            "run the command by hand to see what is wrong; without it no host key is accepted",
        )
    )
