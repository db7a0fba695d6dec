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

from tunnelkeeper import __version__, descriptors, paths
from tunnelkeeper.config import ConfigError, load_with_warnings
from tunnelkeeper.control import lock
from tunnelkeeper.control.server import ControlServer
from tunnelkeeper.control.socketfile import SocketFileError, make_private_folder
from tunnelkeeper.core.exits import Exit
from tunnelkeeper.core.failures import EXHAUSTED, exhausted
from tunnelkeeper.daemon.clock import SystemClock
from tunnelkeeper.daemon.journal import Journal, JournalHandler
from tunnelkeeper.daemon.lookup import lookup_for
from tunnelkeeper.daemon.nursery import Nursery, unwrapped
from tunnelkeeper.daemon.reporting import reporting
from tunnelkeeper.daemon.supervisor import Supervisor
from tunnelkeeper.daemon.threads import DaemonThreads
from tunnelkeeper.daemon.vigil import Vigil, keeping_vigil
from tunnelkeeper.ssh.chain import Jumps
from tunnelkeeper.ssh.library import quieten
from tunnelkeeper.systemd import journald, service_manager

if TYPE_CHECKING:
    from pathlib import Path

    from tunnelkeeper.core.tunnels import Configuration
    from tunnelkeeper.systemd.service_manager import Manager
    from tunnelkeeper.systemd.units import Ready

END_PATIENCE = 3.0
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
    manager = service_manager.take(os.environ)
    if manager.watchdog:
        faulthandler.enable()  # a loop that is stuck is aborted, and says where it was
    try:
        configuration, warnings = load_with_warnings(config_path)
    except ConfigError as error:
        for problem in error.problems:
            _complain(str(problem), "")
        return Exit.BAD_USAGE
    unknown = _unknown(configuration, names, group)
    if unknown is not None:
        _complain(f"{configuration.path}: {unknown}")
        return Exit.NO_SUCH
    descriptors.raise_limit()
    out = _unbuffered(sys.stderr)
    journal = Journal(SystemClock(), out, for_journald=_is_read_by_journald())
    journal.level, journal.format = (
        configuration.supervisor.log_level,
        configuration.supervisor.log_format,
    )
    try:
        make_private_folder(socket_path.parent)
        lock.take(paths.lock_path(socket_path))
        for warning in warnings:
            journal.write("warning", "", str(warning))
        with unwrapped():
            asyncio.run(
                _hold(configuration, journal, socket_path, manager, Wish(names, group, ready))
            )
    except lock.AlreadyRunning as error:
        _complain(f"another supervisor holds {error}; it is left alone")
        return Exit.NOT_SO
    except (SocketFileError, OSError) as error:
        _complain(f"cannot serve {socket_path}: {error}")
        return Exit.NOT_SO
    return Exit.DONE


@dataclass(frozen=True, slots=True)
class Wish:
    """What is to be started, and when all of it is ready; as `run` takes it."""

    names: tuple[str, ...]
    group: str | None
    ready: Ready


async def _hold(
    configuration: Configuration,
    journal: Journal,
    socket_path: Path,
    manager: Manager,
    wish: Wish,
) -> None:
    loop = asyncio.get_running_loop()
    loop.set_default_executor(DaemonThreads())
    _log_into(journal, loop)
    async with Nursery() as tasks, Jumps() as jumps:
        clock = SystemClock()
        asks_for_all = not wish.names and wish.group is None
        supervisor = Supervisor(
            configuration, journal, clock, jumps, tasks, lookup_for, starts_added=asks_for_all
        )
        _obey_signals(supervisor, tasks, loop)
        vigil = Vigil(clock, journal, supervisor.moved)
        async with (
            ControlServer(socket_path, supervisor).serving(tasks),
            keeping_vigil(vigil, tasks),
        ):
            journal.write("info", "", f"tunnelkeeper {__version__} holds {configuration.path}")
            started = await supervisor.start(list(wish.names), wish.group)
            async with reporting(supervisor, manager, clock, wish.ready, started):
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
        async with asyncio.timeout(END_PATIENCE):
            await supervisor.close()
    except TimeoutError:
        supervisor.cut_off()


def _log_into(journal: Journal, loop: asyncio.AbstractEventLoop) -> None:
    """Let everything that is logged anywhere end up in the journal."""
    handler = JournalHandler(journal)
    for name in ("tunnelkeeper", "asyncio"):
        logger = logging.getLogger(name)
        logger.handlers = [handler]
        logger.propagate = False
    quieten()

    def fault(_loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        error = context.get("exception")
        if isinstance(error, OSError) and error.errno in EXHAUSTED:
            journal.notice("warning", "", f"clients wait: {exhausted(error.strerror or '')}")
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
    priority = journald.prefix("error") if _is_read_by_journald() else ""
    print(f"{priority}{by}{text}", file=sys.stderr)  # noqa: T201  there is no journal yet


def _is_read_by_journald() -> bool:
    return journald.reads(sys.stderr, os.environ)
