"""`tunnelkeeper connect HOST HOST:PORT` without a supervisor: its own connection (ssh -W)."""

from __future__ import annotations

import asyncio
import socket
import sys
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from tunnelkeeper.config import ConfigError, load
from tunnelkeeper.core.configuration import Configuration
from tunnelkeeper.core.connect_error import ConnectError
from tunnelkeeper.core.exit_codes import ExitCode
from tunnelkeeper.core.failures import FailureError
from tunnelkeeper.core.forward_spec import Address, parse_target
from tunnelkeeper.core.message import Message
from tunnelkeeper.forwarding.gate import Gate
from tunnelkeeper.net.core_dumps import disable_core_dumps
from tunnelkeeper.net.line_sinks import stderr_sink
from tunnelkeeper.net.line_writer import LineWriter, loss_text
from tunnelkeeper.net.process_group import run_with_children
from tunnelkeeper.net.thread_executor import use_daemon_threads
from tunnelkeeper.oneshot.person import answering
from tunnelkeeper.ssh.asyncssh_logging import silence_asyncssh
from tunnelkeeper.ssh.connection_pool import ConnectionPool
from tunnelkeeper.ssh.context import SshContext
from tunnelkeeper.sshconfig import SshConfigError
from tunnelkeeper.tunnel.context import lookup_for
from tunnelkeeper.tunnel.stdio_stream import relay_stream
from tunnelkeeper.tunnel.task_group import unwrap_exception_groups

if TYPE_CHECKING:
    from tunnelkeeper.core.configuration import Host
    from tunnelkeeper.core.snapshot import Step
    from tunnelkeeper.oneshot.person import Answerer, Ask
    from tunnelkeeper.ssh.connection_pool import HopConnections

PROGRAM = "tunnelkeeper"

CopyStdio = Callable[[socket.socket], None]
"""A function that copies between the standard streams and a socket until EOF in both directions.

It may block. It closes the socket if it ends earlier, so that the peer notices.
"""


def connect(
    config_path: str, host: str, target: str, copy_stdio: CopyStdio, ask: Ask | None = None
) -> int:
    """Connect to a target through a host and copy the standard streams. Return the exit code.

    host: a tunnel or host of the config file, or a host of ssh_config. ask: asks the person at the
    terminal, if there is one.
    """
    disable_core_dumps()
    silence_asyncssh()
    try:
        configuration = load_configuration(config_path)
        address = parse_target(target)
        stderr = LineWriter(stderr_sink(), lambda count: f"{PROGRAM}: {loss_text(count)}\n")
        with closing(stderr), unwrap_exception_groups():
            run_with_children(_connect(configuration, host, address, copy_stdio, stderr, ask))
    except ConfigError as error:
        for problem in error.problems:
            _print_error(str(problem), problem.hint)
        return ExitCode.USAGE
    except FailureError as error:
        _print_error(str(error.failure), error.failure.hint)
        return ExitCode.FAILED
    except SshConfigError as error:
        _print_error(error.message, error.hint)
        return ExitCode.FAILED
    except ConnectError as error:
        _print_error(f"{host}: {target}: {error}")
        return ExitCode.FAILED
    return ExitCode.OK


async def _connect(
    configuration: Configuration,
    host: str,
    target: Address,
    copy_stdio: CopyStdio,
    stderr: LineWriter,
    ask: Ask | None,
) -> None:
    loop = asyncio.get_running_loop()
    use_daemon_threads(loop)
    host_chain = await resolve_hosts(configuration, host)
    context = SshContext()
    async with ConnectionPool(context) as pool:
        progress = _WarningsOnly(host, stderr)
        async with (
            asyncio.TaskGroup() as tasks,
            answering(context.questions, ask, tasks, log=progress.warn) as person,
        ):
            hop_connections = await _connect_asking(pool, host_chain, progress, person)
        hop_connections.connection.measure_round_trip(lambda _: None)
        gate = Gate()
        gate.open(hop_connections.connection)
        stream_sock, stdio_sock = socket.socketpair()
        stream_sock.setblocking(False)
        try:
            copying = None

            def start_copying() -> None:
                nonlocal copying
                copying = loop.run_in_executor(None, copy_stdio, stdio_sock)

            await relay_stream(stream_sock, b"", start_copying, gate, target, timeout=0.0)
            if copying is not None:
                await copying
        finally:
            stream_sock.close()
            stdio_sock.close()
            await hop_connections.close()


async def _connect_asking(
    pool: ConnectionPool,
    host_chain: tuple[Host, ...],
    progress: _WarningsOnly,
    person: Answerer | None,
) -> HopConnections:
    """Connect, again after each answer that an attempt needed.

    Raises FailureError.
    """
    while True:
        try:
            return await pool.connect(host_chain, progress)
        except FailureError as failed:
            question = failed.failure.question
            if person is None or not question or not await person.wait_answered(question):
                raise


async def resolve_hosts(configuration: Configuration, host: str) -> tuple[Host, ...]:
    """Return the chain of a tunnel, of a host of the config file, or of a host of ssh_config.

    Raises SshConfigError.
    """
    lookup = lookup_for(configuration)
    tunnel = configuration.tunnels.get(host)
    if tunnel is not None:
        # Without its forwards, which are not made: ssh_config may forbid them, but not ssh -W.
        return await lookup.resolve(replace(tunnel, forwards=()))
    return await lookup.resolve_reference(host)


def load_configuration(path: str) -> Configuration:
    """Load the config file, if it exists. A host of ssh_config does not need one."""
    return load(path) if Path(path).exists() else Configuration(path)


def _print_error(text: str, hint: str = "") -> None:
    print(Message(f"{PROGRAM}: {text}", hint), file=sys.stderr)  # noqa: T201  the messages of a command


class _WarningsOnly:
    """A progress report that prints only warnings, to stderr. Standard output is the stream."""

    def __init__(self, tunnel: str, stderr: LineWriter) -> None:
        self._tunnel = tunnel
        self._stderr = stderr

    @property
    def tunnel(self) -> str:
        """The name of what connects."""
        return self._tunnel

    def step(self, hop: str, step: Step) -> None:
        """Ignore the step."""

    def waiting(self, text: str) -> None:
        """Ignore what a person must do."""

    def debug(self, text: str) -> None:
        """Ignore the message."""

    def info(self, text: str) -> None:
        """Ignore the message."""

    def warn(self, text: str) -> None:
        """Print a warning."""
        self._stderr.write(f"{PROGRAM}: {text}\n")
