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

from tunnelkeeper import __version__, descriptors
from tunnelkeeper.config import ConfigError
from tunnelkeeper.control.server import ControlServer
from tunnelkeeper.control.socketfile import SocketFileError
from tunnelkeeper.control.supervised import BadConfig
from tunnelkeeper.core.exits import Exit
from tunnelkeeper.forwarding.listeners import ListenFailed
from tunnelkeeper.relay import accounts, handover, host_key
from tunnelkeeper.relay.control import converse
from tunnelkeeper.relay.handover import Unusable
from tunnelkeeper.relay.host_key import HostKeyError
from tunnelkeeper.relay.log import complain, to_stderr
from tunnelkeeper.relay.relay import Relay
from tunnelkeeper.systemd import service_manager
from tunnelkeeper.systemd.heartbeat import beat

if TYPE_CHECKING:
    import socket
    from collections.abc import AsyncIterator

    from tunnelkeeper.core.relay_snapshot import RelaySnapshot
    from tunnelkeeper.relay.source import Source
    from tunnelkeeper.systemd.service_manager import Manager

log = logging.getLogger(__name__)


def run(source: Source, socket_path: Path, *, verbose: bool = False) -> int:
    """Serve until told to end; returns the exit code."""
    manager = service_manager.take(os.environ)
    if manager.watchdog:
        faulthandler.enable()  # a loop that is stuck is aborted, and says where it was
    to_stderr(logging.DEBUG if verbose else logging.INFO)
    descriptors.raise_limit()  # each channel is a socket, all in one process
    try:
        configuration = source.read()
        host_keys = [host_key.load(Path(path)) for path in configuration.host_keys]
    except ConfigError as error:
        for problem in error.problems:
            complain(str(problem))
        return Exit.BAD_USAGE
    except HostKeyError as error:
        complain(str(error))
        return Exit.BAD_USAGE
    code = Exit.DONE
    try:
        handed = manager.sockets()
        handover.check(handed)
    except (OSError, Unusable) as error:
        complain(str(error))
        return Exit.NOT_SO
    try:
        asyncio.run(_serve(source, Relay(configuration, host_keys), socket_path, manager, handed))
    except* ListenFailed as failed:
        code = Exit.NOT_SO
        for failure in failed.exceptions:
            complain(str(failure))
    except* (SocketFileError, OSError) as unable:
        code = Exit.NOT_SO
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
    warnings += accounts.problems_of(configuration.authorized_keys)
    return problems, warnings


@dataclass(frozen=True, slots=True)
class _Running:
    """What the control socket and the signals act upon."""

    source: Source
    relay: Relay
    stopping: asyncio.Event
    manager: Manager

    def status(self) -> RelaySnapshot:
        """See control.Controlled."""
        return self.relay.status()

    def reload(self) -> list[str]:
        """See control.Controlled."""
        self.manager.tell(*service_manager.reloading())
        try:
            configuration = self.source.read()
        except ConfigError as error:
            raise BadConfig([str(problem) for problem in error.problems]) from error
        else:
            return self.relay.take(configuration)
        finally:
            self.manager.tell("READY=1")

    def shutdown(self) -> None:
        """See control.Controlled."""
        self.stopping.set()

    def reload_or_complain(self) -> None:
        """Reload as SIGHUP asks for it: nobody waits for the answer, so problems are logged."""
        try:
            self.reload()
        except BadConfig as bad:
            for problem in (*bad.problems, str(bad)):
                log.error("%s", problem)  # noqa: TRY400  the problem says it all


async def _serve(
    source: Source,
    relay: Relay,
    socket_path: Path,
    manager: Manager,
    handed: list[socket.socket],
) -> None:
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(_log_fault)
    running = _Running(source, relay, asyncio.Event(), manager)
    for end in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(end, running.shutdown)
    loop.add_signal_handler(signal.SIGHUP, running.reload_or_complain)
    server = ControlServer(socket_path, running, converse=converse)
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
async def _reported(manager: Manager, where: str) -> AsyncIterator[None]:
    """Let the service manager know that the relay serves, and after the body that it ends."""
    manager.tell("READY=1", f"STATUS=listens on {where}")
    async with asyncio.TaskGroup() as tasks:
        beating = tasks.create_task(beat(manager, asyncio.sleep))
        try:
            yield
        finally:
            beating.cancel()
            manager.tell("STOPPING=1", "STATUS=closing the connections")


def _log_fault(_loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    error = context.get("exception")
    details = f": {type(error).__name__}: {error}" if error is not None else ""
    log.error("%s%s", context.get("message", "internal fault"), details)
