"""The only module of the command line that starts a supervisor, a relay or a one-shot program.

It imports them late: commands that only talk to a supervisor must not pay for SSH.
"""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tunnelkeeper.collector import collector

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable, Sequence
    from contextlib import AbstractContextManager
    from pathlib import Path

    from tunnelkeeper.config import Problem
    from tunnelkeeper.core.diagnosis import Finding
    from tunnelkeeper.core.failures import Failure
    from tunnelkeeper.core.first_connection import Reason
    from tunnelkeeper.core.forward_spec import TcpAddress
    from tunnelkeeper.core.message import Message
    from tunnelkeeper.core.resolved_settings import ResolvedTunnel
    from tunnelkeeper.core.secret import Secret
    from tunnelkeeper.core.snapshot import (
        LogRecord,
        QuestionSnapshot,
        StatusSnapshot,
        TunnelSnapshot,
    )
    from tunnelkeeper.doctor.context import Machine
    from tunnelkeeper.oneshot.forward import View
    from tunnelkeeper.oneshot.trust import Person
    from tunnelkeeper.relay.initial_files import InitialFiles
    from tunnelkeeper.relay.set_up import Added
    from tunnelkeeper.systemd.unit_templates import Ready

    Quiet = Callable[[], AbstractContextManager[None]]
    """Returns a context in which nothing is logged on standard error."""

    Ask = Callable[[QuestionSnapshot, int], list[Secret] | None]
    """Asks the person at the terminal (oneshot.person)."""


@dataclass(frozen=True, slots=True)
class Findings:
    """The problems of a config file, and the warnings about it."""

    problems: list[Problem]
    warnings: list[Problem]


def check(config: Path) -> Findings:
    """Validate a config file and everything it names. Connect to nothing."""
    with collector.paused():
        from tunnelkeeper.oneshot import check

    return Findings(*check.check(str(config)))


def show(config: Path, name: str, table: dict[str, object] | None = None) -> ResolvedTunnel:
    """Return the settings of a tunnel that are in effect. Connect to nothing.

    table: that of an ad-hoc tunnel, which the file does not have. Raises CommandError.
    """
    from tunnelkeeper.cli.settings import CommandError
    from tunnelkeeper.config import ConfigError
    from tunnelkeeper.config.ad_hoc import InvalidTunnelError
    from tunnelkeeper.core.exit_codes import ExitCode
    from tunnelkeeper.presentation.formatting import nearest

    with collector.paused():
        from tunnelkeeper.oneshot import show

    try:
        return show.show(str(config), name, table)
    except ConfigError as error:
        problems = "\n".join(error.lines)
        raise CommandError(problems, ExitCode.USAGE) from error
    except show.UnknownTunnelError as error:
        near = nearest(name, error.names)
        hint = f"tunnelkeeper show {near}" if near else "tunnelkeeper status"
        raise CommandError(f"{config} has no tunnel {name!r}", ExitCode.NOT_FOUND, hint) from None
    except show.LookupFailedError as error:
        raise CommandError(str(error), hint=error.hint) from error
    except InvalidTunnelError as error:
        raise CommandError(str(error)) from error


def run(
    config: Path,
    socket: Path,
    names: tuple[str, ...],
    group: str | None,
    ready: Ready,
    on_started: Callable[[list[str], Quiet], None] = lambda *_: None,
    log_file: Path | None = None,
) -> int:
    """Run the supervisor. Return its exit code.

    on_started: called once, when the socket is served, with the tunnels that were started and with
    a function that returns a context in which nothing is logged on standard error.
    log_file: where the log goes; None for standard error.
    """
    with collector.paused():
        from tunnelkeeper.daemon import main

    return main.run(str(config), socket, names, group, ready, on_started, log_file)


def run_without_tunnels(config: Path, socket: Path, log_file: Path | None) -> int:
    """Run a supervisor for the tunnels that commands open. Return its exit code."""
    from tunnelkeeper.daemon import main

    return main.run(str(config), socket, (), None, log_file=log_file, starts_none=True)


def connect(
    config: Path,
    reference: str,
    target: str,
    pump: Callable[[socket.socket], None],
    ask: Ask | None = None,
) -> int:
    """Let `pump` serve a target through a new connection. Return the exit code.

    ask: asks the person at the terminal, if there is one.
    """
    with collector.paused():
        from tunnelkeeper.oneshot import connect

    return connect.connect(str(config), reference, target, pump, ask)


def forward(
    config: Path,
    name: str | None,
    table: dict[str, object],
    for_seconds: float | None,
    timeout: float | None,
    view: View,
    ask: Ask | None = None,
) -> tuple[Reason, TunnelSnapshot]:
    """Hold a tunnel open in this process. Return why it has ended, and what it was then.

    for_seconds: how long it lives. timeout: in which it has to come up. ask: asks the person at the
    terminal, if there is one. Raises CommandError.
    """
    from tunnelkeeper.cli.settings import CommandError
    from tunnelkeeper.config import ConfigError
    from tunnelkeeper.config.ad_hoc import InvalidTunnelError
    from tunnelkeeper.core.exit_codes import ExitCode
    from tunnelkeeper.oneshot import forward

    request = forward.ForwardRequest(table, name, for_seconds, timeout)
    try:
        return forward.forward(str(config), request, view, ask)
    except ConfigError as error:
        message = "the config file has problems; the tunnel was not opened"
        raise CommandError(message, ExitCode.USAGE, problems=error.messages) from error
    except InvalidTunnelError as error:
        message = "the tunnel was not opened"
        raise CommandError(message, ExitCode.USAGE, problems=error.problems) from error


def trust(
    config: Path, reference: str, fingerprints: tuple[str, ...], person: Person
) -> Failure | None:
    """Walk a host chain and accept its host keys. Return why that failed, or None."""
    with collector.paused():
        from tunnelkeeper.oneshot import trust

    return trust.trust(str(config), reference, fingerprints, person)


def autossh(
    arguments: tuple[str, ...],
    carry: Callable[[socket.socket, int], None],
    copy_errors: Callable[[socket.socket], None],
    stdin: int,
    ask: Ask | None = None,
) -> int:
    """Run as autossh. Return the exit code.

    ask: asks the person at the terminal, if there is one.
    carry: relays between a socket, a descriptor and stdout. copy_errors: copies a socket to stderr.
    """
    with collector.paused():
        from tunnelkeeper.oneshot.autossh import main
        from tunnelkeeper.oneshot.autossh.remote_session import Stdio

    console = Stdio(stdin, carry, copy_errors, os.environ.get("TERM", ""), ask)
    return main.run(arguments, os.environ, console)


def command_line(
    config: Path,
    socket: Path,
    names: tuple[str, ...],
    group: str | None,
    log_file: Path | None,
    *,
    no_tunnels: bool = False,
) -> list[str]:
    """Return the arguments of a process that does what run() does, or run_without_tunnels()."""
    arguments = [sys.executable, "-m", "tunnelkeeper"]
    arguments += ["--config", str(config), "--socket", str(socket), "up"]
    if log_file is not None:
        arguments += ["--log-file", str(log_file)]
    if group is not None:
        arguments += ["--group", group]
    if no_tunnels:
        arguments += ["--no-tunnels"]
    return [*arguments, "--", *names]


def serve_relay(
    config: Path,
    socket: Path,
    *,
    must_exist: bool,
    listen: tuple[TcpAddress, ...],
    host_keys: tuple[str, ...],
    authorized_keys: str,
    verbose: bool,
    user: str = "",
    has_default_socket: bool = False,
) -> int:
    """Run the relay of a config file. Return its exit code.

    The options take precedence over the file; empty ones have no effect. user: whom root becomes.
    Raises CommandError.
    """
    from tunnelkeeper import paths
    from tunnelkeeper.cli.settings import CommandError
    from tunnelkeeper.control.unix_socket import (
        AlreadyRunningError,
        SocketFileError,
        acquire_lock,
        make_private_folder,
    )
    from tunnelkeeper.core.exit_codes import ExitCode

    with collector.paused():
        from tunnelkeeper.relay import main, privileges
        from tunnelkeeper.relay.config import ConfigSource

    try:
        account = privileges.account_for(user)
        if account is not None:
            privileges.set_environment(account, os.environ)
            if has_default_socket:
                socket = paths.RELAY_RUNTIME_FOLDER / socket.name
                privileges.make_runtime_folder(account, socket.parent)
        with privileges.acting_as(account):
            make_private_folder(socket.parent)
            acquire_lock(paths.lock_path(socket))
    except privileges.PrivilegeError as error:
        raise CommandError(str(error), ExitCode.USAGE, error.hint) from error
    except SocketFileError as error:
        raise CommandError(str(error), hint=error.hint) from error
    except AlreadyRunningError as error:
        raise CommandError(f"another relay holds {error}") from error
    source = ConfigSource(config, must_exist, listen, host_keys, authorized_keys)
    return main.run(source, socket, verbose=verbose, account=account)


def unattended_needs(config: Path, names: Sequence[str], credentials: set[str]) -> list[str]:
    """Return what a start of tunnels with no one present lacks. Raises ConfigError."""
    with collector.paused():
        from tunnelkeeper.oneshot.unattended import find_needs

    return find_needs(str(config), names, credentials)


def check_relay(config: Path, *, must_exist: bool) -> Findings:
    """Validate a relay's config file and the files it names. Listen nowhere."""
    with collector.paused():
        from tunnelkeeper.relay import config_check
        from tunnelkeeper.relay.config import ConfigSource

    return Findings(*config_check.check(ConfigSource(config, must_exist)))


def relay_addresses(config: Path, *, must_exist: bool) -> tuple[TcpAddress, ...]:
    """Return the addresses that the relay of a config file listens on.

    Raises ConfigError.
    """
    from tunnelkeeper.relay.config import ConfigSource

    return ConfigSource(config, must_exist).read().listen


def init_relay(
    config: Path, listen: TcpAddress, public_address: TcpAddress | None, key_folder: Path | None
) -> InitialFiles:
    """Create the files of a relay. Raises CommandError."""
    from tunnelkeeper.cli.settings import CommandError
    from tunnelkeeper.relay import initial_files

    try:
        return initial_files.create(config, listen, public_address, key_folder)
    except initial_files.InitError as error:
        raise CommandError(str(error)) from error


def add_to_relay(config: Path, request: dict[str, Any], *, must_exist: bool) -> Added:
    """Write a line of authorized_keys. request: the fields of an AddRequest.

    Raises CommandError, ConfigError.
    """
    from tunnelkeeper.cli.settings import CommandError
    from tunnelkeeper.relay import set_up
    from tunnelkeeper.relay.config import ConfigSource
    from tunnelkeeper.relay.enrolment import EnrolmentError

    try:
        configuration = ConfigSource(config, must_exist).read()
        return set_up.add(set_up.AddRequest(**request), configuration)
    except EnrolmentError as error:
        raise CommandError(str(error), hint=error.hint) from error


def remove_from_relay(
    config: Path, user: str, key: str | None, *, must_exist: bool
) -> tuple[Path, list[str]]:
    """Remove the lines of a user. Return the file and the fingerprints.

    Raises CommandError, ConfigError.
    """
    from tunnelkeeper.cli.settings import CommandError
    from tunnelkeeper.core.exit_codes import ExitCode
    from tunnelkeeper.relay import enrolment
    from tunnelkeeper.relay.config import ConfigSource

    try:
        return enrolment.remove(user, key, ConfigSource(config, must_exist).read())
    except enrolment.UnknownUserError as error:
        raise CommandError(str(error), ExitCode.NOT_FOUND) from error
    except enrolment.EnrolmentError as error:
        raise CommandError(str(error), hint=error.hint) from error


def parse_public_address(text: str) -> TcpAddress:
    """Parse the address of a relay.

    Raises SpecError.
    """
    from tunnelkeeper.relay.config import parse_public_address

    return parse_public_address(text)


def diagnose(
    config: Path,
    socket: Path,
    names: tuple[str, ...],
    checks: tuple[str, ...],
    status: StatusSnapshot | None,
    no_status: Message,
) -> tuple[Machine, list[Finding]]:
    """Run the checks of doctor. Return what they looked at, and their findings.

    no_status: why the supervisor reports nothing. Raises KeyError with a name that is no tunnel's.
    """
    from tunnelkeeper import paths
    from tunnelkeeper.doctor import main
    from tunnelkeeper.doctor.context import Machine

    machine = Machine(
        config=config,
        socket=socket,
        state_folder=paths.state_folder(os.environ),
        units=paths.user_units_folder(os.environ),
        environment=os.environ,
        status=status,
        no_status=no_status,
    )
    return machine, main.run(machine, names, checks)


def bundle_files(
    machine: Machine, findings: list[Finding], records: list[LogRecord]
) -> dict[str, bytes]:
    """Return the files of the archive for a bug report, by their names."""
    from tunnelkeeper.doctor import bundle

    return bundle.bundle_files(machine, findings, records)


def pack(files: dict[str, bytes]) -> bytes:
    """Return the archive of these files."""
    from tunnelkeeper.doctor import bundle

    return bundle.pack(files)
