"""Be a relay until a signal ends it: configuration, log, control socket, reload on SIGHUP.

Whoever runs it holds the lock next to the control socket.
"""

from __future__ import annotations

import asyncio
import faulthandler
import logging
import os
import signal
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tunnelkeeper import __version__
from tunnelkeeper.config import ConfigError
from tunnelkeeper.control.api import ConfigRejectedError
from tunnelkeeper.control.server import ControlServer
from tunnelkeeper.control.unix_socket import SocketFileError
from tunnelkeeper.core.exit_codes import ExitCode
from tunnelkeeper.net import fd_limits
from tunnelkeeper.net.listener import ListenError
from tunnelkeeper.relay import authorized_keys_store, host_key, socket_activation
from tunnelkeeper.relay.control_methods import converse
from tunnelkeeper.relay.host_key import HostKeyError
from tunnelkeeper.relay.logging_setup import complain, to_stderr
from tunnelkeeper.relay.server import RelayServer
from tunnelkeeper.relay.socket_activation import UnusableSocketError
from tunnelkeeper.systemd import notify
from tunnelkeeper.systemd.notify import ping_watchdog

if TYPE_CHECKING:
    import socket
    from collections.abc import AsyncIterator

    from tunnelkeeper.core.relay_snapshot import RelaySnapshot
    from tunnelkeeper.relay.source import Source
    from tunnelkeeper.systemd.notify import ServiceManager

log = logging.getLogger(__name__)


def run(source: Source, socket_path: Path, *, verbose: bool = False) -> int:
    """Serve until told to end; returns the exit code."""
    manager = notify.from_environment(os.environ)
    if manager.watchdog:
        faulthandler.enable()  # a loop that is stuck is aborted, and says where it was
    to_stderr(logging.DEBUG if verbose else logging.INFO)
    fd_limits.raise_limit()  # each channel is a socket, all in one process
    try:
        configuration = source.read()
        host_keys = [host_key.load(Path(path)) for path in configuration.host_keys]
    except ConfigError as error:
        for problem in error.problems:
            complain(str(problem))
        return ExitCode.USAGE
    except HostKeyError as error:
        complain(str(error))
        return ExitCode.USAGE
    code = ExitCode.OK
    try:
        handed = manager.sockets()
        socket_activation.check(handed)
    except (OSError, UnusableSocketError) as error:
        complain(str(error))
        return ExitCode.FAILED
    try:
        asyncio.run(
            _serve(source, RelayServer(configuration, host_keys), socket_path, manager, handed)
        )
    except* ListenError as failed:
        code = ExitCode.FAILED
        for failure in failed.exceptions:
            complain(str(failure))
    except* (SocketFileError, OSError) as unable:
        code = ExitCode.FAILED
        for reason in unable.exceptions:
            complain(f"cannot serve {socket_path}: {reason}")
    return code


def check(source: Source) -> tuple[list[str], list[str]]:
    """What is wrong with a configuration and the files it names, and what is worth knowing."""
    try:
        configuration = source.read()
    except ConfigError as error:
        return [str(problem) for problem in error.problems], []
    problems, warnings = [], []
    for path in map(Path, configuration.host_keys):
        try:
            host_key.read(path)
        except FileNotFoundError:
            warnings.append(f"{path}: no host key yet; one is made at the first start")
        except OSError as error:
            problems.append(f"{path}: {error.strerror}")
        except HostKeyError as error:
            problems.append(str(error))
    warnings += authorized_keys_store.problems_of(configuration.authorized_keys)
    return problems, warnings


@dataclass(frozen=True, slots=True)
class _Running:
    """What the control socket and the signals act upon."""

    source: Source
    relay: RelayServer
    stopping: asyncio.Event
    manager: ServiceManager

    def status(self) -> RelaySnapshot:
        """See control.Controlled."""
        return self.relay.status()

    def reload(self) -> list[str]:
        """See control.Controlled."""
        self.manager.notify(*notify.reloading())
        try:
            configuration = self.source.read()
        except ConfigError as error:
            raise ConfigRejectedError([str(problem) for problem in error.problems]) from error
        else:
            return self.relay.reconfigure(configuration)
        finally:
            self.manager.notify("READY=1")

    def shutdown(self) -> None:
        """See control.Controlled."""
        self.stopping.set()

    def reload_or_complain(self) -> None:
        """Reload as SIGHUP asks for it: nobody waits for the answer, so problems are logged."""
        try:
            self.reload()
        except ConfigRejectedError as bad:
            for problem in (*bad.problems, str(bad)):
                log.error("%s", problem)  # noqa: TRY400  the problem says it all


async def _serve(
    source: Source,
    relay: RelayServer,
    socket_path: Path,
    manager: ServiceManager,
    handed: list[socket.socket],
) -> None:
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(_log_fault)
    running = _Running(source, relay, asyncio.Event(), manager)
    for end in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(end, running.shutdown)
    loop.add_signal_handler(signal.SIGHUP, running.reload_or_complain)
    server = ControlServer(socket_path, running, make_connection=converse)
    await relay.open(handed)
    try:
        async with asyncio.TaskGroup() as tasks, server.serving(tasks):
            where = ", ".join(map(str, relay.addresses))
            log.info("tunnelkeeper %s: the relay listens on %s", __version__, where)
            for fingerprint in relay.fingerprints:
                log.info("host key %s", fingerprint)
            async with _reported(manager, where):
                await running.stopping.wait()
            log.info("ending")
    finally:
        await relay.close()
    log.info("ended")


@asynccontextmanager
async def _reported(manager: ServiceManager, where: str) -> AsyncIterator[None]:
    """Let the service manager know that the relay serves, and after the body that it ends."""
    manager.notify("READY=1", f"STATUS=listens on {where}")
    async with asyncio.TaskGroup() as tasks:
        beating = tasks.create_task(ping_watchdog(manager, asyncio.sleep))
        try:
            yield
        finally:
            beating.cancel()
            manager.notify("STOPPING=1", "STATUS=closing the connections")


def _log_fault(_loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    error = context.get("exception")
    details = f": {type(error).__name__}: {error}" if error is not None else ""
    log.error("%s%s", context.get("message", "internal fault"), details)
