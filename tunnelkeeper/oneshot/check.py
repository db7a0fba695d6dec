"""`tunnelkeeper check`: checks the config file and everything it names, without connecting."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

from tunnelkeeper.config import ConfigError, load_with_warnings
from tunnelkeeper.core.failures import FailureError
from tunnelkeeper.core.forward_spec import LocalForward, SocksForward, UnixAddress
from tunnelkeeper.core.text import printable, with_hint
from tunnelkeeper.net.process_group import run_with_children
from tunnelkeeper.ssh.auth import algorithms
from tunnelkeeper.ssh.auth.known_hosts_file import KnownHostsFiles
from tunnelkeeper.ssh.auth.private_keys import (
    KeyProblem,
    PrivateKeys,
    Unusable,
)
from tunnelkeeper.ssh.auth.public_keys import certificate_problem
from tunnelkeeper.ssh.auth.revoked_keys import RevokedKeyFiles, UnreadableListError
from tunnelkeeper.sshconfig import SshConfigError, gather_facts
from tunnelkeeper.tunnel.context import lookup_for
from tunnelkeeper.tunnel.forward_expansion import expand_forwards
from tunnelkeeper.tunnel.hook_runner import program_path

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tunnelkeeper.core.configuration import Configuration, Host, Tunnel
    from tunnelkeeper.core.forward_spec import Forward


def check(config_path: str) -> tuple[list[str], list[str]]:
    """Return problems that keep a tunnel from working, and warnings, as lines."""
    try:
        configuration, config_warnings = load_with_warnings(config_path)
    except ConfigError as error:
        return [str(problem) for problem in error.problems], []
    problems, warnings = run_with_children(_check_tunnels(configuration))
    return problems, [*(str(warning) for warning in config_warnings), *warnings]


async def _check_tunnels(configuration: Configuration) -> tuple[list[str], list[str]]:
    problems: list[str] = []
    warnings: list[str] = []
    lookup = lookup_for(configuration)
    keys, known_hosts = PrivateKeys(), KnownHostsFiles()
    facts = gather_facts()
    for name, tunnel in configuration.tunnels.items():
        where = f"{configuration.path}: tunnels.{name}"
        problems += [f"{where}: {text}" for text in _missing_hooks(tunnel)]
        warnings += [f"{where}: {text}" for text in algorithms.unsupported_names(tunnel.options)]
        try:
            hosts = await lookup.resolve(tunnel)
            warnings += [f"{where}: {text}" for text in await lookup.find_deviations(tunnel)]
        except SshConfigError as error:
            problems.append(f"{where}: {with_hint(error.message, error.hint)}")
            hosts = ()
        for expanded in expand_forwards(tunnel, facts, hosts[-1].tokens if hosts else {}):
            problems += [f"{where}: {text}" for text in _unwritable_sockets(expanded.forward)]
        for host in hosts:
            at = f"{where}: {host}"
            configured = _has_configured_identity_files(configuration, tunnel, host)
            problems += [f"{at}: {text}" for text in _algorithm_problems(host)]
            # One of ssh's default keys may work where another does not.
            key_messages = problems if configured else warnings
            key_messages += [f"{at}: {text}" for text in _key_problems(host, keys, configured)]
            warnings += [f"{at}: {text}" for text in _known_hosts_warnings(host, known_hosts)]
            problems += [f"{at}: {text}" for text in _revoked_keys_problems(host)]
    return list(dict.fromkeys(problems)), list(dict.fromkeys(warnings))


def _has_configured_identity_files(
    configuration: Configuration, tunnel: Tunnel, host: Host
) -> bool:
    """Return whether the file configures the host's keys. A missing one is then a problem."""
    own = tunnel.options if host.name == tunnel.host else configuration.hosts.get(host.name)
    options = own or configuration.defaults
    return options.identity_files is not None


def _algorithm_problems(host: Host) -> Iterator[str]:
    for choose in (
        algorithms.ciphers,
        algorithms.macs,
        algorithms.key_exchanges,
        algorithms.pubkey_accepted_algorithms,
        algorithms.ca_signature_algorithms,
    ):
        try:
            choose(host)
        except FailureError as failed:
            yield failed.failure.message
    try:
        algorithms.host_key_algorithms(host, (), prefer_certificates=True)
    except FailureError as failed:
        yield failed.failure.message


def _key_problems(host: Host, keys: PrivateKeys, configured: bool) -> Iterator[str]:
    for path in host.identity_files:
        loaded = keys.load(path)
        if not isinstance(loaded, KeyProblem):
            yield from _not_accepted(host, path, loaded.get_algorithm())
            continue
        # The agent may hold the key: only its public half is here, or it is encrypted.
        in_agent = host.identity_agent is not None and (
            loaded.kind in {Unusable.ENCRYPTED, Unusable.PUBLIC} or Path(f"{path}.pub").exists()
        )
        if in_agent or (loaded.kind is Unusable.MISSING and not configured):
            continue
        yield with_hint(f"identity file {loaded}", loaded.remedy)
    for path in host.certificate_files:
        if problem := certificate_problem(path):
            yield f"certificate file {path}: {problem}"


def _not_accepted(host: Host, path: str, key_type: str) -> Iterator[str]:
    try:
        if not algorithms.is_key_type_accepted(host, key_type):
            yield f"identity file {path}: {key_type} is not in PubkeyAcceptedAlgorithms"
    except FailureError:
        return  # reported by _algorithm_problems


def _known_hosts_warnings(host: Host, known_hosts: KnownHostsFiles) -> Iterator[str]:
    _, warnings, _ = known_hosts.read([*host.user_known_hosts, *host.system_known_hosts])
    yield from warnings


def _revoked_keys_problems(host: Host) -> Iterator[str]:
    for path in host.revoked_host_keys:
        try:
            RevokedKeyFiles().read_blocking([path])
        except UnreadableListError as error:
            yield f"list of revoked host keys {error}; no host key is accepted without it"


def _unwritable_sockets(forward: Forward) -> Iterator[str]:
    match forward:
        case (
            LocalForward(listen=UnixAddress(path=path))
            | SocksForward(listen=UnixAddress(path=path))
        ):
            directory = Path(os.path.expanduser(path)).parent  # noqa: PTH111  raises nothing
            if not os.access(directory, os.W_OK | os.X_OK):
                yield f"{forward}: the directory {directory} is missing or not writable"


def _missing_hooks(tunnel: Tunnel) -> Iterator[str]:
    for key, command in (("on_up", tunnel.on_up), ("on_down", tunnel.on_down)):
        if not command:
            continue
        try:
            program = shutil.which(program_path(command[0]))
        except OSError:
            program = None
        if program is None:
            name = printable(command[0])
            yield f"{key}: {name} is not an executable program (the line is not run by a shell)"
