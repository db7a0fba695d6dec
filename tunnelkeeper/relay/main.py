"""The relay process: configuration, log, control socket, reload on SIGHUP, exit on a signal.

The caller must hold the lock next to the control socket.
"""

from __future__ import annotations

import asyncio
import faulthandler
import logging
import os
import signal
import sys
from contextlib import asynccontextmanager, closing
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from tunnelkeeper import __version__
from tunnelkeeper.config import ConfigError
from tunnelkeeper.control.api import ConfigRejectedError
from tunnelkeeper.control.client_connection import ControlConnection
from tunnelkeeper.control.methods import Method, Methods, version
from tunnelkeeper.control.payloads import Changes, Done, NoParams
from tunnelkeeper.control.server import ControlServer
from tunnelkeeper.control.unix_socket import SocketFileError
from tunnelkeeper.core.exit_codes import ExitCode
from tunnelkeeper.core.message import Message
from tunnelkeeper.net import fd_limits
from tunnelkeeper.net.core_dumps import disable_core_dumps
from tunnelkeeper.net.line_sinks import stderr_sink
from tunnelkeeper.net.line_writer import LineWriter, loss_text
from tunnelkeeper.net.listener import ListenError
from tunnelkeeper.net.out_of_memory import end_if_out_of_memory, end_when_out_of_memory
from tunnelkeeper.net.thread_executor import SerialExecutor, use_daemon_threads
from tunnelkeeper.presentation.formatting import format_moment
from tunnelkeeper.relay import (
    access_control,
    ban_file,
    config_check,
    host_key,
    socket_activation,
)
from tunnelkeeper.relay.access_control import AccessControl
from tunnelkeeper.relay.ban_file import BanFileError
from tunnelkeeper.relay.bans import BanList
from tunnelkeeper.relay.host_key import HostKeyError
from tunnelkeeper.relay.privileges import ROOT, PrivilegeError, acting_as, become
from tunnelkeeper.relay.refusal_log import LineFilter
from tunnelkeeper.relay.server import RelayServer
from tunnelkeeper.relay.socket_activation import UnusableSocketError
from tunnelkeeper.ssh.asyncssh_logging import silence_asyncssh
from tunnelkeeper.systemd import notify
from tunnelkeeper.systemd.notify import PriorityFormatter, is_journal, journal_prefix, ping_watchdog

if TYPE_CHECKING:
    import socket
    from collections.abc import AsyncIterator

    import asyncssh

    from tunnelkeeper.core.relay_snapshot import RelaySnapshot
    from tunnelkeeper.relay.config import ConfigSource, RelayConfiguration
    from tunnelkeeper.relay.privileges import Account
    from tunnelkeeper.systemd.notify import ServiceManager

FINDINGS_LOGGED = 20
"""Findings of `relay check` that are logged at the start; files may have thousands of lines."""

log = logging.getLogger(__name__)


def run(
    source: ConfigSource,
    socket_path: Path,
    *,
    verbose: bool = False,
    account: Account | None = None,
) -> int:
    """Serve until a signal or a shutdown request; return the exit code.

    account: the user that root becomes after the ports are bound.
    """
    with closing(_log_to_stderr(logging.DEBUG if verbose else logging.INFO)) as writer:
        return _run(source, socket_path, writer, account)


def _read_files(
    source: ConfigSource, ban_path: Path, account: Account | None
) -> tuple[RelayConfiguration, list[asyncssh.SSHKey], BanList]:
    """Read relay.toml and the host keys as root if it was started so, the rest as the account.

    Raises ConfigError, HostKeyError, BanFileError.
    """
    configuration = source.read()
    host_keys = [
        host_key.load(
            Path(path),
            strict_modes=configuration.strict_modes,
            required_rsa_size=configuration.required_rsa_size,
        )
        for path in configuration.host_keys
    ]
    with acting_as(account):
        if account is not None:
            source.read()  # as at a reload
        return configuration, host_keys, BanList(ban_file.load(ban_path))


def _run(
    source: ConfigSource, socket_path: Path, writer: LineWriter, account: Account | None
) -> int:
    disable_core_dumps()
    manager = notify.from_environment(os.environ)
    if manager.watchdog:
        faulthandler.enable()  # the watchdog aborts a stuck loop; this prints where it hung
    fd_limits.raise_limit()  # each channel is a socket, all in one process
    ban_path = ban_file.path_for(source.path, os.environ)
    try:
        configuration, host_keys, bans = _read_files(source, ban_path, account)
    except ConfigError as error:
        for problem in error.problems:
            _print_error(str(problem), problem.hint)
        return ExitCode.USAGE
    except (HostKeyError, BanFileError) as error:
        _print_error(str(error), error.hint)
        return ExitCode.USAGE
    code = ExitCode.OK
    try:
        passed_sockets = manager.sockets()
        socket_activation.check(passed_sockets)
    except (OSError, UnusableSocketError) as error:
        _print_error(str(error))
        return ExitCode.FAILED
    relay = RelayServer(configuration, host_keys, bans=bans)
    try:
        with closing(writer):  # the log comes before the reason of the end
            access = AccessControl(relay, ban_path)
            asyncio.run(
                _serve(source, relay, access, socket_path, manager, passed_sockets, account)
            )
    except* (ListenError, PrivilegeError) as failed:
        code = ExitCode.FAILED
        for failure in failed.exceptions:
            _print_error(str(failure), getattr(failure, "hint", ""))
    except* (SocketFileError, OSError) as errors:
        code = ExitCode.FAILED
        for reason in errors.exceptions:
            _print_error(f"cannot serve {socket_path}: {reason}", getattr(reason, "hint", ""))
    return code


# -- control socket ------------------------------------------------------------------------------


class RelayApi(Protocol):
    """The relay, as methods of the control socket use it."""

    def status(self) -> RelaySnapshot:
        """Return the snapshot for front ends."""

    async def reload(self) -> list[str]:
        """Reread relay.toml and the authorized keys; return a sentence for each change.

        Raises control.api.ConfigRejectedError without changing anything.
        """

    def shutdown(self) -> None:
        """Start the shutdown."""


async def _status(relay: RelayApi, _params: NoParams) -> RelaySnapshot:
    return relay.status()


async def _reload(relay: RelayApi, _params: NoParams) -> Changes:
    return Changes(await relay.reload())


async def _shutdown(relay: RelayApi, _params: NoParams) -> Done:
    relay.shutdown()
    return Done()


METHODS: Methods = {
    "version": Method(NoParams, version),
    "status": Method(NoParams, _status),
    "reload": Method(NoParams, _reload),
    **access_control.METHODS,
    "shutdown": Method(NoParams, _shutdown),
}

converse = partial(ControlConnection, methods=METHODS)
"""Serves one client of the control socket."""


@dataclass(frozen=True, slots=True)
class _RunningRelay:
    """The target of control methods and signals."""

    source: ConfigSource
    relay: RelayServer
    access: AccessControl
    stopping: asyncio.Event
    manager: ServiceManager
    files: SerialExecutor = field(default_factory=SerialExecutor)

    def status(self) -> RelaySnapshot:
        """Return the snapshot for front ends."""
        return self.relay.status()

    async def reload(self) -> list[str]:
        """Reread the configuration; return a sentence for each change."""
        self.manager.notify(*notify.reloading_assignments())
        try:
            configuration = await self.files.read(self.source, self.source.read)
        except ConfigError as error:
            raise ConfigRejectedError(error.messages) from error
        except OSError as error:
            problem = Message(f"{self.source.path}: {error.strerror}")
            raise ConfigRejectedError([problem]) from error
        else:
            changes = self.relay.reconfigure(configuration)
            return changes + await self.relay.revalidate()
        finally:
            self.manager.notify("READY=1")

    def shutdown(self) -> None:
        """Start the shutdown."""
        self.stopping.set()

    async def reload_or_log(self) -> None:
        """Reload on SIGHUP, and log problems, since no client waits for an answer."""
        try:
            await self.reload()
        except ConfigRejectedError as error:
            for problem in (*error.problems, Message(str(error), error.hint)):
                hint = {"hint": problem.hint}
                log.error("%s", problem.text, extra=hint)  # noqa: TRY400  it needs no traceback
        except Exception:
            end_if_out_of_memory()
            log.exception("the reload failed unexpectedly; please report it")


async def _serve(
    source: ConfigSource,
    relay: RelayServer,
    access: AccessControl,
    socket_path: Path,
    manager: ServiceManager,
    passed_sockets: list[socket.socket],
    account: Account | None = None,
) -> None:
    loop = asyncio.get_running_loop()
    use_daemon_threads(loop)
    loop.set_exception_handler(_log_fault)
    end_when_out_of_memory(loop, _error_prefix())
    running = _RunningRelay(source, relay, access, asyncio.Event(), manager)
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, running.shutdown)
    loop.add_signal_handler(signal.SIGHUP, lambda: None)  # the configuration has just been read
    server = ControlServer(socket_path, running, make_connection=converse)
    await relay.open(passed_sockets)
    try:
        if account is not None:
            become(account)
            disable_core_dumps()  # the change of the user id undid a part
        async with asyncio.TaskGroup() as tasks, server.serving(tasks):
            loop.add_signal_handler(
                signal.SIGHUP, lambda: tasks.create_task(running.reload_or_log())
            )
            where = ", ".join(map(str, relay.addresses))
            tasks.create_task(_log_findings(running))
            log.info("tunnelkeeper %s: the relay listens on %s", __version__, where)
            if account is not None:
                log.info("serves as user %s", account.name)
            elif os.geteuid() == ROOT:
                log.warning("serves as root; --user names a user with fewer rights")
            for fingerprint in relay.fingerprints:
                log.info("host key %s", fingerprint)
            async with _notifying(manager, where):
                await running.stopping.wait()
            log.info("stopping")
    finally:
        loop.add_signal_handler(signal.SIGHUP, lambda: None)  # nothing is left to configure
        await relay.close()
    log.info("stopped")


async def _log_findings(running: _RunningRelay) -> None:
    """Log what `relay check` reports, so that the journal of a service has it."""
    try:
        check = partial(config_check.check, running.source, has_host_keys=True)
        found = await running.files.read("check", check)
    except OSError as error:
        log.warning("cannot check the configuration: %s", error.strerror)
        return
    except Exception:
        end_if_out_of_memory()
        log.exception("checking the configuration failed unexpectedly; please report it")
        return
    findings = [finding.full_message for findings in found for finding in findings]
    for finding in findings[:FINDINGS_LOGGED]:
        log.warning("%s", finding.text, extra={"hint": finding.hint})
    if len(findings) > FINDINGS_LOGGED:
        more = len(findings) - FINDINGS_LOGGED
        log.warning("%d more findings", more, extra={"hint": "tunnelkeeper relay check"})


@asynccontextmanager
async def _notifying(manager: ServiceManager, where: str) -> AsyncIterator[None]:
    """Notify the service manager: READY before the body, STOPPING after it."""
    manager.notify("READY=1", f"STATUS=listens on {where}")
    async with asyncio.TaskGroup() as tasks:
        watchdog = tasks.create_task(ping_watchdog(manager, asyncio.sleep))
        try:
            yield
        finally:
            watchdog.cancel()
            manager.notify("STOPPING=1", "STATUS=closing the connections")


def _log_fault(_loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    error = context.get("exception")
    details = f": {type(error).__name__}: {error}" if error is not None else ""
    log.error("%s%s", context.get("message", "internal fault"), details)


# -- log -----------------------------------------------------------------------------------------


class LineFormatter(logging.Formatter):
    """Formats `2026-11-22T10:00:00+01:00 info    the message`, as the supervisor's log does.

    A hint, `extra={"hint": ...}` of the logging call, is a second line with the same start.
    """

    def format(self, record: logging.LogRecord) -> str:
        """Format a record with its level in lower case."""
        at = format_moment(datetime.fromtimestamp(record.created, UTC))
        start = f"{at} {record.levelname.lower():<7} "
        message = Message(super().format(record), getattr(record, "hint", ""))
        return "\n".join(start + line for line in message.lines)


def _log_to_stderr(level: int) -> LineWriter:
    """Log to standard error, in the format of the terminal or of the journal.

    Returns:
        The writer, to be closed at the end.
    """
    for_journal = is_journal(sys.stderr, os.environ)
    formatter = PriorityFormatter() if for_journal else LineFormatter()

    def describe_loss(count: int) -> str:
        text = f"{loss_text(count)}: the log could not be written"
        return formatter.format(log.makeRecord(log.name, logging.WARNING, "", 0, text, (), None))

    writer = LineWriter(stderr_sink(), lambda count: f"{describe_loss(count)}\n")
    handler = logging.StreamHandler(writer)
    handler.setFormatter(formatter)
    handler.addFilter(LineFilter())
    for name in ("tunnelkeeper", "asyncio"):
        logger = logging.getLogger(name)
        logger.handlers = [handler]
        logger.propagate = False
        logger.setLevel(level)
    logging.getLogger("asyncio").setLevel(logging.WARNING)
    silence_asyncssh()
    return writer


def _print_error(text: str, hint: str = "") -> None:
    """Print why the relay cannot serve."""
    for line in Message(f"tunnelkeeper: {text}", hint).lines:
        print(f"{_error_prefix()}{line}", file=sys.stderr)  # noqa: T201  the log may not be set up yet


def _error_prefix() -> str:
    return journal_prefix("error") if is_journal(sys.stderr, os.environ) else ""
