"""The autossh program, from its arguments to its exit code: 0 or 1, as in autossh.

It also implements -f and the pid file. It does not interpret the options of ssh, and leaves -V and
-h to the command line.
"""

from __future__ import annotations

import asyncio
import os
import sys
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from tunnelkeeper.autossh.command_line import parse_autossh, parse_monitor
from tunnelkeeper.autossh.environment import parse_environment
from tunnelkeeper.autossh.monitor_protocol import timing_from_settings, timing_note
from tunnelkeeper.autossh.restart_rules import EXIT_FAILED, EXIT_OK, Rules
from tunnelkeeper.autossh.ssh_command import CommandLineError
from tunnelkeeper.autossh.usage import USAGE
from tunnelkeeper.clock import SystemClock
from tunnelkeeper.core.message import Message
from tunnelkeeper.net.core_dumps import disable_core_dumps
from tunnelkeeper.net.file_creation import open_to_write, unlink
from tunnelkeeper.net.line_writer import call_bounded
from tunnelkeeper.net.process_group import run_with_children
from tunnelkeeper.net.thread_executor import use_daemon_threads
from tunnelkeeper.oneshot.autossh.log import (
    FILE_TIMEOUT,
    Level,
    Log,
    Output,
    SshMessages,
    event_log_for,
    open_log,
    open_ssh_messages,
    stderr_writer,
)
from tunnelkeeper.oneshot.autossh.monitor_ports import hold_ports
from tunnelkeeper.oneshot.autossh.remote_session import Stdio, remote_task_for
from tunnelkeeper.oneshot.autossh.resolve import (
    ResolvedCommand,
    missing_identity_files,
    resolve,
)
from tunnelkeeper.oneshot.autossh.supervise import AutosshSupervisor, SupervisedCommand
from tunnelkeeper.ssh.asyncssh_logging import silence_asyncssh
from tunnelkeeper.sshconfig import SshConfigError
from tunnelkeeper.tunnel.event_log import redirected_loggers
from tunnelkeeper.tunnel.task_group import unwrap_exception_groups

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from tunnelkeeper.autossh.command_line import AutosshCommand, Monitor
    from tunnelkeeper.autossh.environment import Settings
    from tunnelkeeper.net.line_writer import LineWriter


def run(arguments: Sequence[str], environment: Mapping[str, str], console: Stdio) -> int:
    """Run a command line. Return the exit code."""
    disable_core_dumps()
    silence_asyncssh()
    try:
        line, settings = parse_autossh(arguments), parse_environment(environment)
        monitor = _monitor(line, settings)
        _reject_unsupported(line)
        if not settings.debug:  # with it, the log goes to stderr and has the warnings
            _print_identity_warnings(line)
        with unwrap_exception_groups():
            command = run_with_children(resolve(line.ssh, monitor))
    except CommandLineError as error:
        return _print_error(str(error), error.hint, usage=len(arguments) == 0)
    except SshConfigError as error:
        return _print_error(error.message, error.hint)
    try:
        return _supervise(line, settings, monitor, command, console)
    except OSError as error:
        return _print_error(f"{error.filename or ''}: {error.strerror}".removeprefix(": "))


def _supervise(
    line: AutosshCommand,
    settings: Settings,
    monitor: Monitor | None,
    command: ResolvedCommand,
    console: Stdio,
) -> int:
    with _open_output(line, settings) as output:
        return _supervise_with_log(line, settings, monitor, command, console, output)


@contextmanager
def _open_output(line: AutosshCommand, settings: Settings) -> Iterator[Output]:
    """Open the log and the destination of ssh's messages. Write the last lines on exit.

    Raises:
        OSError: A file cannot be written.
    """
    clock, stderr = SystemClock(), stderr_writer()
    level = Level.DEBUG if settings.debug else settings.log_level
    log = open_log(level, clock, settings.log_file, stderr if settings.debug else None)
    output = Output(log, _ssh_messages(line, stderr), stderr)
    try:
        yield output
    finally:
        output.close()


def _supervise_with_log(
    line: AutosshCommand,
    settings: Settings,
    monitor: Monitor | None,
    command: ResolvedCommand,
    console: Stdio,
    output: Output,
) -> int:
    log = output.log
    pid_file = Path(settings.pid_file).absolute() if settings.pid_file else None
    _log_warnings(line, settings, monitor, command, log)
    try:
        return_socket = None if monitor is None else hold_ports(monitor)
    except CommandLineError as error:
        log.write(Level.ERROR, str(error), error.hint)
        return EXIT_FAILED if log.stderr else _print_error(str(error), error.hint)
    if line.background:
        output.close()  # a thread does not survive fork()
        if not _daemonize():
            return EXIT_OK
        output.after_fork()
    options = SupervisedCommand(
        command=command,
        remote_task=remote_task_for(command.plan, console),
        rules=Rules(
            gate_time=0 if line.background else settings.gate_time,
            poll=settings.poll,
            max_starts=settings.max_starts,
            strict=line.strict,
        ),
        monitor=monitor,
        return_socket=return_socket,
        timing=timing_from_settings(settings),
        max_lifetime=settings.max_lifetime,
        message=settings.message,
        ask=None if line.background else console.ask,
    )
    event_log = event_log_for(log, output.ssh_messages)
    supervisor = AutosshSupervisor(options, log, event_log, log.clock)
    with (
        _pid_file(pid_file, log),
        redirected_loggers(event_log),
        unwrap_exception_groups(),
    ):
        return run_with_children(_run(supervisor))


async def _run(supervisor: AutosshSupervisor) -> int:
    use_daemon_threads(asyncio.get_running_loop())
    return await supervisor.run()


def _monitor(line: AutosshCommand, settings: Settings) -> Monitor | None:
    """Return the monitoring loop, if requested. Only --strict requires -M, as autossh does."""
    value = line.monitor if line.monitor is not None else settings.port
    if value is None and line.strict:
        raise CommandLineError(
            "expected -M port, -M 0 or AUTOSSH_PORT with --strict",
            "add `-M 0`, or leave --strict out",
        )
    return None if value is None else parse_monitor(value)


def _reject_unsupported(line: AutosshCommand) -> None:
    """Reject options that are not supported and cannot be ignored."""
    for note in line.ssh.refused:
        raise CommandLineError(f"{note.option} is not supported: {note.reason}")


def _ssh_messages(line: AutosshCommand, stderr: LineWriter) -> SshMessages:
    verbosity = line.ssh.count("v")
    level = None if line.ssh.has("q") else Level.WARNING
    if verbosity:
        level = Level.INFO if verbosity == 1 else Level.DEBUG
    files = line.ssh.values("E")
    file = files[-1] if files else None
    return open_ssh_messages(level, file, stderr, to_syslog=line.ssh.has("y"))


def _log_warnings(
    line: AutosshCommand,
    settings: Settings,
    monitor: Monitor | None,
    command: ResolvedCommand,
    log: Log,
) -> None:
    for note in (*line.ssh.ignored, *settings.ignored):
        log.write(Level.DEBUG, f"ignored: {note}")
    for warning in (*command.warnings, *missing_identity_files(line.ssh)):
        log.write(Level.WARNING, warning)
    note_on_timing = timing_note(settings)
    if note_on_timing is not None:
        log.write(Level.INFO, note_on_timing)
    if monitor is None and (line.monitor or settings.port):
        log.write(Level.INFO, "port set to 0, monitoring disabled")


def _print_identity_warnings(line: AutosshCommand) -> None:
    """Print the warnings as ssh does: to stderr, even with -q or -E."""
    for warning in missing_identity_files(line.ssh):
        print(f"Warning: {warning}", file=sys.stderr)  # noqa: T201


def _print_error(message: str, hint: str = "", *, usage: bool = False) -> int:
    if usage:
        print(USAGE, file=sys.stderr)  # noqa: T201  the log is not open yet
    print(Message(f"autossh: {message}", hint), file=sys.stderr)  # noqa: T201
    return EXIT_FAILED


def _daemonize() -> bool:
    """Detach from the terminal, change to `/` and redirect the standard streams to /dev/null.

    This is daemon(3) with a second fork, so that the process cannot acquire a controlling
    terminal. No threads and no event loop may be running.

    Returns:
        False in the original process, which must exit; True in the background process.

    Raises:
        OSError: The process cannot fork.
    """
    sys.stdout.flush()
    sys.stderr.flush()
    if os.fork():
        return False
    os.setsid()
    if os.fork():
        os._exit(0)
    os.chdir("/")
    null = os.open(os.devnull, os.O_RDWR)
    for descriptor in range(3):
        os.dup2(null, descriptor)
    os.close(null)
    return True


@contextmanager
def _pid_file(path: Path | None, log: Log) -> Iterator[None]:
    """Write the process id to a file, and remove the file on exit.

    A FIFO or a file system that hangs does not delay either for long.

    Raises:
        OSError: The file cannot be written.
    """
    if path is None:
        yield
        return
    text = f"{os.getpid()}\n"
    if not call_bounded(lambda: _write_text(path, text), FILE_TIMEOUT):
        log.write(Level.WARNING, f"{path} does not answer; the pid file may be missing")
    try:
        yield
    finally:
        with suppress(OSError):
            call_bounded(lambda: unlink(path), FILE_TIMEOUT)


def _write_text(path: Path, text: str) -> None:
    descriptor = open_to_write(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    with open(descriptor, "w", encoding="ascii") as file:  # noqa: PTH123
        file.write(text)
