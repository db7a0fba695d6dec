"""Be the supervisor: take the lock, hold the tunnels, serve the socket, end on a signal."""

from __future__ import annotations

import asyncio
import faulthandler
import io
import logging
import os
import signal
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, BinaryIO, TextIO, cast

from tunnelkeeper import __version__, paths
from tunnelkeeper.clock import SystemClock
from tunnelkeeper.config import ConfigError, load_with_warnings
from tunnelkeeper.control.server import ControlServer
from tunnelkeeper.control.unix_socket import (
    AlreadyRunningError,
    SocketFileError,
    acquire_lock,
    make_private_folder,
)
from tunnelkeeper.core.exit_codes import ExitCode
from tunnelkeeper.core.failures import EXHAUSTION_ERRNOS, local_resources_failure
from tunnelkeeper.daemon.sd_notify import notifying
from tunnelkeeper.daemon.supervisor import Supervisor
from tunnelkeeper.net import fd_limits
from tunnelkeeper.net.thread_executor import DaemonThreads
from tunnelkeeper.ssh.asyncssh_logging import silence_asyncssh
from tunnelkeeper.ssh.connection_pool import ConnectionPool
from tunnelkeeper.ssh.context import SshContext
from tunnelkeeper.systemd import notify
from tunnelkeeper.tunnel.context import lookup_for
from tunnelkeeper.tunnel.event_log import EventLog, EventLogHandler
from tunnelkeeper.tunnel.host_monitor import HostMonitor, monitoring
from tunnelkeeper.tunnel.task_group import IsolatedTaskGroup, unwrap_exception_groups

if TYPE_CHECKING:
    from pathlib import Path

    from tunnelkeeper.core.configuration import Configuration
    from tunnelkeeper.systemd.notify import ServiceManager
    from tunnelkeeper.systemd.unit_templates import Ready

SHUTDOWN_TIMEOUT = 3.0
"""Seconds that all tunnels together may take to close before they are cut off."""


def run(
    config_path: str,
    socket_path: Path,
    names: tuple[str, ...],
    group: str | None,
    ready: Ready = "tried",
) -> int:
    """Hold the tunnels of a config file until told to end; returns the exit code.

    names, group: the tunnels to start; with neither, every one with autostart. ready: when a
    service manager, if one started us, hears that they are.
    """
    manager = notify.from_environment(os.environ)
    if manager.watchdog:
        faulthandler.enable()  # a loop that is stuck is aborted, and says where it was
    try:
        configuration, warnings = load_with_warnings(config_path)
    except ConfigError as error:
        for problem in error.problems:
            _complain(str(problem), "")
        return ExitCode.USAGE
    unknown = _unknown(configuration, names, group)
    if unknown is not None:
        _complain(f"{configuration.path}: {unknown}")
        return ExitCode.NOT_FOUND
    fd_limits.raise_limit()
    out = _unbuffered(sys.stderr)
    journal = EventLog(SystemClock(), out, for_journald=_is_read_by_journald())
    journal.level, journal.format = (
        configuration.supervisor.log_level,
        configuration.supervisor.log_format,
    )
    try:
        make_private_folder(socket_path.parent)
        acquire_lock(paths.lock_path(socket_path))
        for warning in warnings:
            journal.write("warning", "", str(warning))
        with unwrap_exception_groups():
            asyncio.run(
                _hold(
                    configuration, journal, socket_path, manager, StartRequest(names, group, ready)
                )
            )
    except AlreadyRunningError as error:
        _complain(f"another supervisor holds {error}; it is left alone")
        return ExitCode.FAILED
    except (SocketFileError, OSError) as error:
        _complain(f"cannot serve {socket_path}: {error}")
        return ExitCode.FAILED
    return ExitCode.OK


@dataclass(frozen=True, slots=True)
class StartRequest:
    """What is to be started, and when all of it is ready; as `run` takes it."""

    names: tuple[str, ...]
    group: str | None
    ready: Ready


async def _hold(
    configuration: Configuration,
    journal: EventLog,
    socket_path: Path,
    manager: ServiceManager,
    wish: StartRequest,
) -> None:
    loop = asyncio.get_running_loop()
    loop.set_default_executor(DaemonThreads())
    _log_into(journal, loop)
    ssh_context = SshContext()
    async with IsolatedTaskGroup() as tasks, ConnectionPool(ssh_context) as connection_pool:
        clock = SystemClock()
        asks_for_all = not wish.names and wish.group is None
        supervisor = Supervisor(
            configuration,
            journal,
            clock,
            ssh_context,
            connection_pool,
            tasks,
            lookup_for,
            starts_added=asks_for_all,
        )
        _obey_signals(supervisor, tasks, loop)
        vigil = HostMonitor(clock, journal, supervisor.network_changed)
        async with (
            ControlServer(socket_path, supervisor).serving(tasks),
            monitoring(vigil, tasks),
        ):
            journal.write("info", "", f"tunnelkeeper {__version__} holds {configuration.path}")
            started = await supervisor.start(list(wish.names), wish.group)
            async with notifying(supervisor, manager, clock, wish.ready, started):
                await supervisor.stopping.wait()
            journal.write("info", "", "ending")
            await _close(supervisor)
    journal.write("info", "", "ended")


def _obey_signals(
    supervisor: Supervisor, tasks: asyncio.TaskGroup, loop: asyncio.AbstractEventLoop
) -> None:
    for end in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(end, supervisor.shutdown)
    loop.add_signal_handler(
        signal.SIGHUP, lambda: tasks.create_task(supervisor.reload_or_complain())
    )


async def _close(supervisor: Supervisor) -> None:
    """Stop all tunnels, and cut off what does not stop in time."""
    try:
        async with asyncio.timeout(SHUTDOWN_TIMEOUT):
            await supervisor.close()
    except TimeoutError:
        supervisor.abort_connections()


def _log_into(journal: EventLog, loop: asyncio.AbstractEventLoop) -> None:
    """Let everything that is logged anywhere end up in the journal."""
    handler = EventLogHandler(journal)
    for name in ("tunnelkeeper", "asyncio"):
        logger = logging.getLogger(name)
        logger.handlers = [handler]
        logger.propagate = False
    silence_asyncssh()

    def fault(_loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        error = context.get("exception")
        if isinstance(error, OSError) and error.errno in EXHAUSTION_ERRNOS:
            journal.write_throttled(
                "warning", "", f"clients wait: {local_resources_failure(error.strerror or '')}"
            )
            return
        details = f": {type(error).__name__}: {error}" if error is not None else ""
        journal.write("error", "", f"{context.get('message', 'internal fault')}{details}")

    loop.set_exception_handler(fault)


def _unbuffered(out: TextIO) -> TextIO:
    """The same file without a buffer: what a full disk did not take is not kept for ever."""
    try:
        raw = io.FileIO(out.fileno(), "w", closefd=False)
    except (OSError, ValueError):
        return out
    return io.TextIOWrapper(
        cast("BinaryIO", raw), out.encoding, "backslashreplace", write_through=True
    )


def _unknown(configuration: Configuration, names: tuple[str, ...], group: str | None) -> str | None:
    for name in names:
        if name not in configuration.tunnels:
            return f"no tunnel is named {name!r}"
    in_groups = {g for tunnel in configuration.tunnels.values() for g in tunnel.groups}
    if group is not None and group not in in_groups:
        return f"no tunnel is in a group {group!r}"
    return None


def _complain(text: str, by: str = "tunnelkeeper: ") -> None:
    priority = notify.journal_prefix("error") if _is_read_by_journald() else ""
    print(f"{priority}{by}{text}", file=sys.stderr)  # noqa: T201  there is no journal yet


def _is_read_by_journald() -> bool:
    return notify.is_journal(sys.stderr, os.environ)
