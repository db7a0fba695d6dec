"""A command line of autossh from its arguments to its exit code, which is autossh's: 0 or 1."""

from __future__ import annotations

import asyncio
import os
import sys
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from tunnelkeeper import __version__
from tunnelkeeper.autossh.command_line import has_version_flag, parse_autossh, parse_monitor
from tunnelkeeper.autossh.environment import parse_environment
from tunnelkeeper.autossh.monitor_protocol import timing_from_settings
from tunnelkeeper.autossh.restart_rules import EXIT_FAILED, EXIT_OK, Rules
from tunnelkeeper.autossh.ssh_command import CommandLineError
from tunnelkeeper.clock import SystemClock
from tunnelkeeper.core.text import with_hint
from tunnelkeeper.net.thread_executor import DaemonThreads
from tunnelkeeper.oneshot.autossh.log import Level, Log, SshMessages, event_log_for, open_log
from tunnelkeeper.oneshot.autossh.remote_session import Stdio, remote_task_for
from tunnelkeeper.oneshot.autossh.resolve import ResolvedCommand, resolve
from tunnelkeeper.oneshot.autossh.supervise import AutosshSupervisor, SupervisedCommand
from tunnelkeeper.ssh.asyncssh_logging import silence_asyncssh
from tunnelkeeper.sshconfig import SshConfigError
from tunnelkeeper.tunnel.task_group import unwrap_exception_groups

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from tunnelkeeper.autossh.command_line import AutosshCommand, Monitor
    from tunnelkeeper.autossh.environment import Settings

IMITATED = "1.4g"
"""The version of autossh whose command line this is."""

USAGE = """\
usage: autossh [--strict] [-V] [-M port[:echo_port]] [-f] [SSH_OPTIONS]

    -M        port of the monitoring loop, 0: none. Overrides AUTOSSH_PORT
    -f        go on in the background
    -V        print the version and exit
    --strict  autossh's own waiting times and gate, to the letter

Environment: AUTOSSH_DEBUG, _FIRST_POLL, _GATETIME, _LOGFILE, _LOGLEVEL, _MAXLIFETIME,
_MAXSTART, _MESSAGE, _PIDFILE, _POLL, _PORT: as in autossh(1). No ssh is started:
tunnelkeeper makes the connection. docs/autossh.md has every difference.
"""


def run(arguments: Sequence[str], environment: Mapping[str, str], console: Stdio) -> int:
    """Do what a command line says; returns the exit code."""
    silence_asyncssh()
    try:
        if has_version_flag(arguments):
            print(f"autossh {IMITATED} (tunnelkeeper {__version__})")  # noqa: T201  asked for
            return EXIT_OK
        line, settings = parse_autossh(arguments), parse_environment(environment)
        monitor = _monitor(line, settings)
        _check(line)
        with unwrap_exception_groups():
            todo = asyncio.run(resolve(line.ssh, monitor))
    except CommandLineError as error:
        return _complain(str(error), usage=len(arguments) == 0)
    except SshConfigError as error:
        return _complain(with_hint(error.message, error.hint))
    try:
        return _keep(line, settings, monitor, todo, console)
    except OSError as error:
        return _complain(f"{error.filename or ''}: {error.strerror}".removeprefix(": "))


def _keep(
    line: AutosshCommand,
    settings: Settings,
    monitor: Monitor | None,
    todo: ResolvedCommand,
    console: Stdio,
) -> int:
    clock = SystemClock()
    level = Level.DEBUG if settings.debug else settings.log_level
    log = open_log(level, clock, settings.log_file, to_stderr=settings.debug)
    pid_file = Path(settings.pid_file).absolute() if settings.pid_file else None
    voice = _voice(line)
    if line.background and not _daemonize():
        return EXIT_OK
    _tell_remarks(line, settings, todo, log)
    job = SupervisedCommand(
        command=todo,
        remote_task=remote_task_for(todo.plan, console),
        rules=Rules(
            gate_time=0 if line.background else settings.gate_time,
            poll=settings.poll,
            max_starts=settings.max_starts,
            strict=line.strict,
        ),
        monitor=monitor,
        timing=timing_from_settings(settings),
        max_lifetime=settings.max_lifetime,
        message=settings.message,
    )
    keeping = AutosshSupervisor(job, log, event_log_for(log, voice), clock)
    with _pid_file(pid_file), unwrap_exception_groups():
        return asyncio.run(_run(keeping))


async def _run(keeping: AutosshSupervisor) -> int:
    asyncio.get_running_loop().set_default_executor(DaemonThreads())
    return await keeping.run()


def _monitor(line: AutosshCommand, settings: Settings) -> Monitor | None:
    """The loop that is asked for; autossh wants a word about it, and keepalives need none."""
    said = line.monitor if line.monitor is not None else settings.port
    if said is None and line.strict:
        raise CommandLineError(
            "expected -M port, -M 0 or AUTOSSH_PORT; without --strict none is needed"
        )
    return None if said is None else parse_monitor(said)


def _check(line: AutosshCommand) -> None:
    """Refuse what would give the user something else than asked for."""
    for remark in line.ssh.refused:
        raise CommandLineError(f"{remark.option} is not supported: {remark.reason}")


def _voice(line: AutosshCommand) -> SshMessages:
    wordiness = line.ssh.count("v")
    least = None if line.ssh.has("q") else Level.WARNING
    if wordiness:
        least = Level.INFO if wordiness == 1 else Level.DEBUG
    files = line.ssh.values("E")
    file = Path(files[-1]).absolute() if files else None
    if file is not None:
        file.open("a").close()
    return SshMessages(least, file, to_syslog=line.ssh.has("y"))


def _tell_remarks(
    line: AutosshCommand, settings: Settings, todo: ResolvedCommand, log: Log
) -> None:
    for remark in (*line.ssh.ignored, *settings.ignored):
        log.write(Level.DEBUG, f"noted: {remark}")
    for words in todo.warnings:
        log.write(Level.WARNING, words)
    if settings.port == "0" or line.monitor == "0":
        log.write(Level.INFO, "port set to 0, monitoring disabled")


def _complain(words: str, *, usage: bool = False) -> int:
    if usage:
        print(USAGE, file=sys.stderr)  # noqa: T201  there is no log yet
    print(f"autossh: {words}", file=sys.stderr)  # noqa: T201
    return EXIT_FAILED


def _daemonize() -> bool:
    """Go on as a process without a terminal, in `/`, its three descriptors on /dev/null.

    False: this is the process that was started, and has nothing more to do. As daemon(3) with a
    second fork, so that no terminal can ever become ours. No threads may run, nor an event loop.

    Raises OSError.
    """
    sys.stdout.flush()
    sys.stderr.flush()
    if os.fork():
        return False
    os.setsid()
    if os.fork():
        os._exit(0)
    os.chdir("/")
    nowhere = os.open(os.devnull, os.O_RDWR)
    for descriptor in range(3):
        os.dup2(nowhere, descriptor)
    os.close(nowhere)
    return True


@contextmanager
def _pid_file(path: Path | None) -> Iterator[None]:
    """Keep this process's number in a file, and remove the file at the end.

    Raises OSError.
    """
    if path is None:
        yield
        return
    path.write_text(f"{os.getpid()}\n")
    try:
        yield
    finally:
        with suppress(OSError):
            path.unlink()
