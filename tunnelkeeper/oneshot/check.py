"""`tunnelkeeper check`: checks the config file and everything it names, without connecting."""

from __future__ import annotations

import asyncio
import os
import shutil
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tunnelkeeper.config import ConfigError, load_document
from tunnelkeeper.config.errors import KeyPath, Problem, ValueProblem
from tunnelkeeper.core.failures import FailureError
from tunnelkeeper.core.forward_spec import (
    kind_of,
)
from tunnelkeeper.core.host_spec import host_name_problem, parse_host_spec
from tunnelkeeper.core.message import Message
from tunnelkeeper.core.text import printable
from tunnelkeeper.net.child_process import program_path
from tunnelkeeper.net.core_dumps import disable_core_dumps
from tunnelkeeper.net.process_group import run_with_children
from tunnelkeeper.net.thread_executor import SerialExecutor, use_daemon_threads
from tunnelkeeper.oneshot.forward_problems import find_forward_problems
from tunnelkeeper.oneshot.ssh_config_forwards import find_deviations
from tunnelkeeper.ssh.auth import algorithms
from tunnelkeeper.ssh.auth.known_hosts_file import KnownHostsFiles
from tunnelkeeper.ssh.auth.private_keys import (
    KeyProblem,
    LoadedKey,
    PrivateKeys,
    Unusable,
)
from tunnelkeeper.ssh.auth.public_keys import certificate_problem
from tunnelkeeper.ssh.auth.revoked_keys import RevokedKeyFiles, UnreadableListError
from tunnelkeeper.sshconfig import SshConfigError, gather_facts
from tunnelkeeper.tunnel.context import lookup_for
from tunnelkeeper.tunnel.forward_expansion import expand_forwards

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from tunnelkeeper.core.configuration import Configuration, Host, Tunnel
    from tunnelkeeper.core.forward_spec import Forward
    from tunnelkeeper.sshconfig import HostLookup


def check(config_path: str) -> tuple[list[Problem], list[Problem]]:
    """Return problems that keep a tunnel from working, and warnings, each with its line."""
    disable_core_dumps()
    return run_with_children(find_problems(config_path))


async def find_problems(
    config_path: str, lookup: HostLookup | None = None
) -> tuple[list[Problem], list[Problem]]:
    """Do what check() does, in the loop of the caller.

    lookup: of the caller for this file, whose answers are used again.
    """
    use_daemon_threads(asyncio.get_running_loop())
    try:
        configuration, config_warnings, document = load_document(config_path)
    except ConfigError as error:
        return list(error.problems), []
    report = await _check_tunnels(
        configuration, Places(document.values), lookup or lookup_for(configuration)
    )
    warnings = [*config_warnings, *document.problems(dict.fromkeys(report.warnings))]
    return list(document.problems(dict.fromkeys(report.problems))), warnings


@dataclass(slots=True)
class Report:
    """The problems and warnings so far, without their lines."""

    problems: list[ValueProblem] = field(default_factory=list)
    warnings: list[ValueProblem] = field(default_factory=list)

    def add_problems(self, at: KeyPath, messages: Iterable[Message]) -> None:
        """Add problems of one key."""
        self.problems += [ValueProblem(at, each.text, each.hint) for each in messages]

    def add_warnings(self, at: KeyPath, messages: Iterable[Message]) -> None:
        """Add warnings about one key."""
        self.warnings += [ValueProblem(at, each.text, each.hint) for each in messages]

    def add_all(self, other: Report) -> None:
        """Add the problems and warnings of another report."""
        self.problems += other.problems
        self.warnings += other.warnings


@dataclass(frozen=True, slots=True)
class Places:
    """The places of settings in a document. A setting that is not in it has that of its tunnel."""

    document: Mapping[str, Any]

    def of_tunnel(self, tunnel: Tunnel, key: str) -> KeyPath:
        """Return the place of a tunnel's key: in its table, or in [defaults]."""
        return self._first((("tunnels", tunnel.name), ("defaults",)), tunnel, key)

    def of_host(self, tunnel: Tunnel, host: Host, key: str) -> KeyPath:
        """Return the place of a key of a host, in the order of precedence."""
        alias = parse_host_spec(host.name).host
        tables: list[KeyPath] = [("hosts", alias), ("defaults",)]
        if host.name == tunnel.host:
            tables.insert(0, ("tunnels", tunnel.name))
        return self._first(tables, tunnel, key)

    def of_host_name(self, tunnel: Tunnel, host: Host) -> KeyPath:
        """Return the place of the name to connect to: `hostname`, or the key that names the host.

        ssh_config may replace the name.
        """
        at = self.of_host(tunnel, host, "hostname")
        if at[-1] == "hostname":
            return at
        if host.name == tunnel.host:
            return "tunnels", tunnel.name, "host"
        return self.of_tunnel(tunnel, "jump")

    def of_forward(self, tunnel: Tunnel, forward: Forward) -> KeyPath:
        """Return the place of a forward."""
        kind = kind_of(forward)
        same_kind = [other for other in tunnel.forwards if kind_of(other) == kind]
        return self.of_element(("tunnels", tunnel.name, kind), same_kind.index(forward))

    def of_element(self, at: KeyPath, index: int) -> KeyPath:
        """Return the place of an element of a list, or that of a single value without a list."""
        value: Any = self.document
        for part in at:
            value = value.get(part) if isinstance(value, dict) else None
        is_element = isinstance(value, list) and index < len(value)
        return (*at, index) if is_element else at

    def _first(self, tables: Iterable[KeyPath], tunnel: Tunnel, key: str) -> KeyPath:
        for section, *name in tables:
            table = self.document.get(str(section), {})
            for part in name:
                table = table.get(part, {})
            if key in table:
                return (section, *name, key)
        return "tunnels", tunnel.name


async def _check_tunnels(
    configuration: Configuration, places: Places, lookup: HostLookup
) -> Report:
    report = Report()
    hosts_checker = HostsChecker(places)
    facts = gather_facts()
    tunnels = configuration.tunnels.values()
    # All together: with a dead name server, each lookup takes seconds.
    lookups = await asyncio.gather(*map(lookup.resolve, tunnels), return_exceptions=True)
    for tunnel, found in zip(tunnels, lookups, strict=True):
        at: KeyPath = ("tunnels", tunnel.name)
        for key, command in (("on_up", tunnel.on_up), ("on_down", tunnel.on_down)):
            report.add_problems(places.of_tunnel(tunnel, key), _missing_program(command))
        for key, message in algorithms.unsupported_names(tunnel.options):
            report.add_warnings(places.of_tunnel(tunnel, key), [Message(message)])
        hosts: tuple[Host, ...] = ()
        try:
            if isinstance(found, BaseException):
                raise found
            hosts = found
            tokens = hosts[-1].tokens
            deviations = await find_deviations(lookup, configuration, tunnel, facts, tokens)
            report.add_warnings(at, deviations)
        except SshConfigError as error:
            report.add_problems(at, [Message(error.message, error.hint)])
        for expanded in expand_forwards(tunnel, facts, hosts[-1].tokens if hosts else {}):
            if not expanded.waits_for_lookup:
                place = places.of_forward(tunnel, expanded.configured)
                report.add_problems(place, find_forward_problems(expanded.forward))
        for host in hosts:
            report.add_all(await hosts_checker.check(tunnel, host))
    return report


@dataclass(slots=True)
class HostsChecker:
    """Checks hosts in threads: their files may be on a disk that hangs."""

    places: Places
    keys: PrivateKeys = field(default_factory=PrivateKeys)
    known_hosts: KnownHostsFiles = field(default_factory=KnownHostsFiles)
    _executor: SerialExecutor = field(default_factory=SerialExecutor)
    _hanging: dict[tuple[str, ...], str] = field(default_factory=dict)

    async def check(self, tunnel: Tunnel, host: Host) -> Report:
        """Return the problems and warnings of one host of a tunnel."""
        files = (
            *(*host.identity_files, *host.certificate_files, *host.revoked_host_keys),
            *(*host.user_known_hosts, *host.system_known_hosts),
        )
        if files not in self._hanging:
            try:
                return await self._executor.read(files, lambda: self._check(tunnel, host))
            except TimeoutError as error:
                self._hanging[files] = f"its files were {error.strerror}"
        report = Report()
        report.add_problems(
            ("tunnels", tunnel.name), _with_host(host, [Message(self._hanging[files])])
        )
        return report

    def _check(self, tunnel: Tunnel, host: Host) -> Report:
        report = Report()
        _check_host(report, self.places, tunnel, host, self.keys)
        lines = _with_host(host, _known_hosts_warnings(host, self.known_hosts))
        report.add_warnings(self.places.of_host(tunnel, host, "known_hosts"), lines)
        return report


def _check_host(
    report: Report, places: Places, tunnel: Tunnel, host: Host, keys: PrivateKeys
) -> None:
    """Add the problems of one host of a tunnel, except those of known_hosts."""
    report.add_problems(places.of_host_name(tunnel, host), _with_host(host, _name_problems(host)))
    for key, messages in (
        ("bind_address", _bind_address_problems(host)),
        ("revoked_host_keys", _revoked_keys_problems(host)),
        ("known_hosts_command", _known_hosts_command_problems(host)),
        ("passphrase_command", _missing_program(host.passphrase_command)),
        ("password_command", _missing_program(host.password_command)),
        ("certificate_files", _certificate_problems(host)),
    ):
        report.add_problems(places.of_host(tunnel, host, key), _with_host(host, messages))
    for key, message in _algorithm_problems(host):
        report.add_problems(places.of_host(tunnel, host, key), _with_host(host, [Message(message)]))
    at = places.of_host(tunnel, host, "identity_files")
    is_configured = at[-1] == "identity_files"
    # One of ssh's default keys may work where another does not.
    add_messages = report.add_problems if is_configured else report.add_warnings
    for index, path in enumerate(host.identity_files):
        place = places.of_element(at, index) if is_configured else at
        problems = _key_problems(host, path, keys.load(path), is_configured)
        add_messages(place, _with_host(host, problems))
        report.add_warnings(place, _with_host(host, _agent_warnings(host, keys.load(path))))


def _with_host(host: Host, messages: Iterable[Message]) -> Iterator[Message]:
    return (message.about(host) for message in messages)


def _name_problems(host: Host) -> Iterator[Message]:
    """Yield a problem if the host's name can never be looked up. A proxy may know any name."""
    problem = host_name_problem(host.hostname)
    if problem is not None and host.proxy_command is None:
        yield Message(f"the host name can never be resolved: {problem}")


def _bind_address_problems(host: Host) -> Iterator[Message]:
    problem = host_name_problem(host.bind_address) if host.bind_address else None
    if problem is not None:
        yield Message(f"bind_address {host.bind_address}: {problem}")


def _algorithm_problems(host: Host) -> Iterator[tuple[str, str]]:
    """Yield the key and the problem of each list of algorithms that leaves none to use."""
    choices: tuple[tuple[str, Callable[[Host], object]], ...] = (
        ("ciphers", algorithms.ciphers),
        ("macs", algorithms.macs),
        ("kex_algorithms", algorithms.key_exchanges),
        ("pubkey_accepted_algorithms", algorithms.pubkey_accepted_algorithms),
        ("ca_signature_algorithms", algorithms.ca_signature_algorithms),
        ("host_key_algorithms", _host_key_algorithms),
    )
    for key, choose in choices:
        try:
            choose(host)
        except FailureError as failed:
            yield key, failed.failure.message


def _host_key_algorithms(host: Host) -> object:
    return algorithms.host_key_algorithms(host, (), prefer_certificates=True)


def _key_problems(host: Host, path: str, key: LoadedKey, is_configured: bool) -> Iterator[Message]:
    if not isinstance(key, KeyProblem):
        yield from _not_accepted(host, path, key.get_algorithm())
    elif key.kind is Unusable.ENCRYPTED or _may_be_in_agent(host, key):
        return  # a person, a stored passphrase or the agent
    elif is_configured or key.kind is not Unusable.MISSING:
        yield Message(f"identity file {key}", key.remedy)


def _agent_warnings(host: Host, key: LoadedKey) -> Iterator[Message]:
    """Yield a warning if a key needs an agent that does not exist now. It may be started later."""
    agent = host.identity_agent
    if not isinstance(key, KeyProblem) or (agent is not None and os.access(agent, os.F_OK)):
        return
    if key.kind is Unusable.ENCRYPTED:
        if host.batch_mode and not (host.passphrase_command or host.keyring):
            remedy = f"set passphrase_command, or unlock it for the agent: `{key.remedy}`"
            yield Message(f"identity file {key}, and batch_mode forbids to ask for it", remedy)
    elif _may_be_in_agent(host, key):
        yield Message(f"identity file {key}, and there is no agent at {agent}")


def _may_be_in_agent(host: Host, key: KeyProblem) -> bool:
    """Return whether the agent may hold the key: its public half is here."""
    return host.identity_agent is not None and (
        key.kind is Unusable.PUBLIC
        or (key.kind is Unusable.MISSING and Path(f"{key.path}.pub").exists())
    )


def _certificate_problems(host: Host) -> Iterator[Message]:
    for path in host.certificate_files:
        if problem := certificate_problem(path):
            yield Message(f"certificate file {path}: {problem}")


def _not_accepted(host: Host, path: str, key_type: str) -> Iterator[Message]:
    try:
        if not algorithms.is_key_type_accepted(host, key_type):
            yield Message(f"identity file {path}: {key_type} is not in PubkeyAcceptedAlgorithms")
    except FailureError:
        return  # reported by _algorithm_problems


def _known_hosts_warnings(host: Host, known_hosts: KnownHostsFiles) -> Iterator[Message]:
    _, warnings, _ = known_hosts.read([*host.user_known_hosts, *host.system_known_hosts])
    yield from map(Message, warnings)


def _known_hosts_command_problems(host: Host) -> Iterator[Message]:
    for program in host.known_hosts_command[:1]:
        if not (os.access(program, os.X_OK) and Path(program).is_file()):
            yield Message(f"known_hosts_command: {printable(program)} is not an executable program")


def _revoked_keys_problems(host: Host) -> Iterator[Message]:
    for path in host.revoked_host_keys:
        try:
            RevokedKeyFiles().read_blocking([path])
        except UnreadableListError as error:
            yield Message(
                f"list of revoked host keys {error}, and no host key is accepted without it"
            )


def _missing_program(command: Sequence[str]) -> Iterator[Message]:
    if not command:
        return
    try:
        program = shutil.which(program_path(command[0]))
    except OSError:
        program = None
    if program is None:
        name = printable(command[0])
        yield Message(
            f"{name} is not an executable program",
            "name a program; the line is not run by a shell, so for a shell's syntax write "
            """["sh", "-c", "..."]""",
        )
