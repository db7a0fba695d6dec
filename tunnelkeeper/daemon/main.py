"""The main function of the supervisor: lock, tunnels, control socket and signals.

Errors before the event log exists go to stderr.
"""

from __future__ import annotations

import asyncio
import faulthandler
import os
import signal
import sys
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tunnelkeeper import __version__, paths
from tunnelkeeper.clock import SystemClock
from tunnelkeeper.config import ConfigError, load_with_warnings
from tunnelkeeper.control import log_files
from tunnelkeeper.control.file_claim import FileClaim, FileClaimedError
from tunnelkeeper.control.log_files import LogInUseError
from tunnelkeeper.control.server import ControlServer
from tunnelkeeper.control.unix_socket import (
    AlreadyRunningError,
    SocketFileError,
    acquire_lock,
    make_private_folder,
)
from tunnelkeeper.core.exit_codes import ExitCode
from tunnelkeeper.core.failures import EXHAUSTION_ERRNOS, local_resources_failure
from tunnelkeeper.core.message import Message
from tunnelkeeper.daemon.sd_notify import notifying
from tunnelkeeper.daemon.supervisor import Supervisor
from tunnelkeeper.net import fd_limits
from tunnelkeeper.net.core_dumps import disable_core_dumps
from tunnelkeeper.net.line_sinks import stderr_sink
from tunnelkeeper.net.line_writer import LineWriter
from tunnelkeeper.net.out_of_memory import end_when_out_of_memory
from tunnelkeeper.net.process_group import run_with_children
from tunnelkeeper.net.rotating_file import RotatingFileSink
from tunnelkeeper.net.thread_executor import use_daemon_threads
from tunnelkeeper.presentation.formatting import nearest
from tunnelkeeper.presentation.message_lines import wrap_message
from tunnelkeeper.questions.askpass import asking_by_program
from tunnelkeeper.ssh.asyncssh_logging import silence_asyncssh
from tunnelkeeper.ssh.connection_pool import ConnectionPool
from tunnelkeeper.ssh.context import SshContext
from tunnelkeeper.systemd import notify
from tunnelkeeper.tunnel.context import lookup_for
from tunnelkeeper.tunnel.dependency_watcher import read_signatures
from tunnelkeeper.tunnel.event_log import EventLog, redirect_loggers
from tunnelkeeper.tunnel.host_monitor import HostMonitor, monitoring
from tunnelkeeper.tunnel.task_group import IsolatedTaskGroup, unwrap_exception_groups

if TYPE_CHECKING:
    from collections.abc import Callable, Collection
    from contextlib import AbstractContextManager

    from tunnelkeeper.core.configuration import Configuration
    from tunnelkeeper.systemd.notify import ServiceManager
    from tunnelkeeper.systemd.unit_templates import Ready
    from tunnelkeeper.tunnel.dependency_watcher import Signatures

    OnStarted = Callable[[list[str], Callable[[], AbstractContextManager[None]]], None]

SHUTDOWN_TIMEOUT = 3.0
"""Seconds for all tunnels together to close before their connections are aborted."""


def run(
    config_path: str,
    socket_path: Path,
    names: tuple[str, ...],
    group: str | None,
    ready: Ready = "tried",
    on_started: OnStarted = lambda *_: None,
    log_file: Path | None = None,
    *,
    starts_none: bool = False,
) -> int:
    """Run the tunnels of a config file until a signal or `shutdown`. Return the exit code.

    names, group: The tunnels to start; with neither, every one with autostart.
    starts_none: Start no tunnel, because a command opens its own. Without use, it ends with that.
    ready: When a service manager is notified of readiness.
    on_started: Called once, when the socket is served, with the tunnels that were started and with
        a function that returns a context in which nothing is logged on standard error.
    log_file: Where the log goes; None for standard error.
    """
    disable_core_dumps()
    manager = notify.from_environment(os.environ)
    if manager.watchdog:
        faulthandler.enable()  # systemd aborts a blocked event loop; log its stack
    config_read = read_signatures([config_path])
    try:
        configuration, warnings = load_with_warnings(config_path)
    except ConfigError as error:
        for problem in error.problems:
            _print_error(str(problem), problem.hint, prefix="")
        return ExitCode.USAGE
    unknown = _find_unknown(configuration, names, group)
    if unknown is not None:
        _print_error(f"{configuration.path}: {unknown.text}", unknown.hint)
        return ExitCode.NOT_FOUND
    fd_limits.raise_limit()
    event_log = EventLog(SystemClock(), for_journald=log_file is None and _is_stderr_journald())
    sink = stderr_sink() if log_file is None else RotatingFileSink(log_file)
    out = event_log.out = LineWriter(sink, event_log.describe_loss)
    event_log.level, event_log.format = (
        configuration.supervisor.log_level,
        configuration.supervisor.log_format,
    )
    request = StartRequest(
        names, group, ready, lambda started: on_started(started, out.paused), starts_none
    )
    claim = FileClaim(
        paths.claims_folder(os.environ),
        Path(configuration.path),
        socket_path,
        is_partial=not request.is_for_all and socket_path != paths.default_socket_path(os.environ),
    )
    try:
        make_private_folder(socket_path.parent)
        acquire_lock(paths.lock_path(socket_path))
        _acquire_claim(claim, event_log)
        claim.claim(request.selection(configuration))
        _claim_log(log_file, socket_path, event_log)
        for warning in warnings:
            event_log.write("warning", "", str(warning))
        with closing(out), unwrap_exception_groups():
            run_with_children(
                _run_supervisor(
                    configuration,
                    event_log,
                    socket_path,
                    manager,
                    request,
                    config_read,
                    claim,
                )
            )
    except AlreadyRunningError as error:
        _print_error(
            f"another supervisor holds {error}, and is left alone",
            "for a second supervisor, choose another socket with --socket PATH",
        )
        return ExitCode.FAILED
    except LogInUseError as error:
        _print_error(str(error), error.hint)
        return ExitCode.FAILED
    except FileClaimedError as error:
        _print_error(f"{error}, and is left alone", error.hint)
        return ExitCode.FAILED
    except (SocketFileError, OSError) as error:
        _print_error(f"cannot serve {socket_path}: {error}", getattr(error, "hint", ""))
        return ExitCode.FAILED
    finally:
        out.close()
        claim.release()
    return ExitCode.OK


@dataclass(frozen=True, slots=True)
class StartRequest:
    """The tunnels to start and the condition for readiness, as passed to `run`."""

    names: tuple[str, ...]
    group: str | None
    ready: Ready
    on_started: Callable[[list[str]], None]
    starts_none: bool = False

    @property
    def is_for_all(self) -> bool:
        """Whether it starts every tunnel with autostart."""
        return not self.names and self.group is None and not self.starts_none

    def selection(self, configuration: Configuration) -> list[str]:
        """Return the tunnels that are named or in the group."""
        return [
            name
            for name, tunnel in configuration.tunnels.items()
            if name in self.names or self.group in tunnel.groups
        ]


async def _run_supervisor(
    configuration: Configuration,
    event_log: EventLog,
    socket_path: Path,
    manager: ServiceManager,
    request: StartRequest,
    config_read: Signatures,
    claim: FileClaim,
) -> None:
    loop = asyncio.get_running_loop()
    use_daemon_threads(loop)
    _redirect_logging(event_log, loop)
    clock = SystemClock()
    ssh_context = SshContext(wall_time=lambda: clock.wall().timestamp())
    async with IsolatedTaskGroup() as tasks, ConnectionPool(ssh_context) as connection_pool:
        supervisor = Supervisor(
            configuration,
            event_log,
            clock,
            ssh_context,
            connection_pool,
            tasks,
            lookup_for,
            start_added=request.is_for_all,
            claim=claim.claim,
            config_read=config_read,
        )
        _install_signal_handlers(supervisor, tasks, loop)
        monitor = HostMonitor(clock, event_log, supervisor.network_changed, supervisor.network_lost)
        async with (
            ControlServer(socket_path, supervisor).serving(tasks),
            monitoring(monitor, tasks),
            asking_by_program(
                ssh_context.questions, tasks, lambda text: event_log.write("info", "", text)
            ),
        ):
            event_log.write("info", "", f"tunnelkeeper {__version__} holds {configuration.path}")
            if request.starts_none:
                supervisor.end_when_unused()
            started = await _start(supervisor, request)
            request.on_started(started)
            async with notifying(supervisor, manager, clock, request.ready, started):
                await supervisor.stopping.wait()
            event_log.write("info", "", "ending")
            await _close(supervisor)
    event_log.write("info", "", "ended")


def _claim_log(path: Path | None, socket: Path, event_log: EventLog) -> None:
    """Reserve the log file, if any, until this process ends. Raises LogInUseError."""
    if path is None:
        return
    try:
        log_files.claim(path, socket)
    except OSError as error:
        event_log.write("warning", "", f"a second writer of {path} would not be noticed: {error}")


async def _start(supervisor: Supervisor, request: StartRequest) -> list[str]:
    """Start the tunnels of a request. Return their names."""
    if request.starts_none:
        return []
    return await supervisor.start(list(request.names), request.group)


def _acquire_claim(claim: FileClaim, event_log: EventLog) -> None:
    """Claim the config file. A file system that cannot be written prevents no start.

    Raises FileClaimedError.
    """
    try:
        claim.acquire()
    except OSError as error:
        event_log.write(
            "warning", "", f"a second supervisor of this file would not be noticed: {error}"
        )


def _install_signal_handlers(
    supervisor: Supervisor, tasks: asyncio.TaskGroup, loop: asyncio.AbstractEventLoop
) -> None:
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, supervisor.shutdown)
    loop.add_signal_handler(
        signal.SIGHUP, lambda: tasks.create_task(supervisor.reload_and_log_errors())
    )


async def _close(supervisor: Supervisor) -> None:
    """Stop all tunnels. Abort the connections that do not close in time."""
    try:
        async with asyncio.timeout(SHUTDOWN_TIMEOUT):
            await supervisor.close()
    except TimeoutError:
        supervisor.abort_connections()


def _redirect_logging(event_log: EventLog, loop: asyncio.AbstractEventLoop) -> None:
    """Send the records of all loggers and unhandled exceptions to the event log."""
    redirect_loggers(event_log)
    silence_asyncssh()

    def handle_exception(_loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        error = context.get("exception")
        if isinstance(error, OSError) and error.errno in EXHAUSTION_ERRNOS:
            event_log.write_throttled(
                "warning", "", f"clients wait: {local_resources_failure(error.strerror or '')}"
            )
            return
        details = f": {type(error).__name__}: {error}" if error is not None else ""
        event_log.write("error", "", f"{context.get('message', 'internal fault')}{details}")

    loop.set_exception_handler(handle_exception)
    end_when_out_of_memory(loop, notify.journal_prefix("error") if _is_stderr_journald() else "")


def _find_unknown(
    configuration: Configuration, names: tuple[str, ...], group: str | None
) -> Message | None:
    for name in names:
        if name not in configuration.tunnels:
            return Message(f"no tunnel is named {name!r}", _suggestion(name, configuration.tunnels))
    in_groups = {g for tunnel in configuration.tunnels.values() for g in tunnel.groups}
    if group is not None and group not in in_groups:
        return Message(f"no tunnel is in a group {group!r}", _suggestion(group, in_groups))
    return None


MAX_LISTED = 8
"""Names that the hint about an unknown name lists."""


def _suggestion(word: str, known: Collection[str]) -> str:
    if near := nearest(word, known):
        return f"did you mean {near!r}?"
    return f"the file has {', '.join(sorted(known)[:MAX_LISTED])}" if known else ""


def _print_error(text: str, hint: str = "", prefix: str = "tunnelkeeper: ") -> None:
    priority = notify.journal_prefix("error") if _is_stderr_journald() else ""
    cells = None
    with suppress(OSError, ValueError):  # ValueError: a stream without a descriptor
        cells = os.get_terminal_size(sys.stderr.fileno()).columns or None
    for line in wrap_message(Message(f"{prefix}{text}", hint), cells):
        print(f"{priority}{line}", file=sys.stderr)  # noqa: T201  there is no journal yet


def _is_stderr_journald() -> bool:
    return notify.is_journal(sys.stderr, os.environ)
