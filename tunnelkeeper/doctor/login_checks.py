"""Checks of what a login needs on this machine: file modes, certificates, passphrases, agents."""

from __future__ import annotations

import asyncio
import shlex
import stat
import time
from pathlib import Path
from typing import TYPE_CHECKING

from tunnelkeeper.core.diagnosis import Result, Status, Subject
from tunnelkeeper.core.text import printable
from tunnelkeeper.net import file_trust
from tunnelkeeper.net.file_trust import Distrust, find_strict_distrust
from tunnelkeeper.questions.credentials import passphrase_credentials
from tunnelkeeper.ssh.auth import public_keys
from tunnelkeeper.ssh.auth.agent import list_keys
from tunnelkeeper.ssh.auth.openssh_certificate import (
    CertificateError,
    format_time,
    parse_certificate,
)
from tunnelkeeper.ssh.auth.private_keys import KeyProblem, PrivateKeys, Unusable

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from tunnelkeeper.core.configuration import Host
    from tunnelkeeper.doctor.context import Context
    from tunnelkeeper.ssh.auth.agent import ListedKey

SOON = 14 * 24 * 3600.0
"""Seconds before the end of a certificate from which it is reported."""

MAX_TRIES = 6
"""The keys that sshd accepts an offer of, by default (MaxAuthTries of sshd_config(5))."""

SLOW_AGENT = 1.0
"""Seconds. An agent lists its keys in a millisecond, unless it waits for a person or a network."""

AGENT_TIMEOUT = 5.0
PATH_LIMIT = 4096


async def check_file_modes(context: Context) -> Iterable[Result]:
    """Check who else could write to files that decide about a login, or replace them."""
    ssh = Path(context.machine.facts.home) / ".ssh"
    files = [context.machine.config, *(ssh / name for name in ("config", "known_hosts", ""))]
    found: dict[str, Distrust] = {}
    for path in files:
        found |= await asyncio.to_thread(_distrusts, path)
    return [
        Result(Status.FAILED, printable(str(distrust), PATH_LIMIT), file_trust.remedy(distrust))
        for distrust in found.values()
    ]


def _distrusts(path: Path) -> dict[str, Distrust]:
    """Return the reasons not to trust a file, by path. A missing file has none."""
    try:
        path.lstat()
        return {each.path: each for each in find_strict_distrust(path)}
    except (OSError, ValueError):
        return {}


async def check_certificates(context: Context) -> Iterable[Result]:
    """Report certificates that are not valid now, or not for long."""
    now = time.time()
    users: dict[str, set[str]] = {}
    for host, subject in context.hops():
        beside = (f"{path}-cert.pub" for path in host.identity_files)
        for path in (*host.certificate_files, *beside):
            users.setdefault(path, set()).update(subject.tunnels)
    return [
        result
        for path, tunnels in users.items()
        for result in await asyncio.to_thread(_certificate_results, path, tunnels, now)
    ]


def _certificate_results(path: str, tunnels: Iterable[str], now: float) -> list[Result]:
    try:
        public = public_keys.load_certificate(path)
        certificate = parse_certificate(public.blob) if public is not None else None
    except (OSError, CertificateError):
        return []
    if certificate is None:
        return []
    where, subject = printable(path, PATH_LIMIT), Subject(tuple(sorted(tunnels)))
    renew = f"have {where} signed again (ssh-keygen -s CA_KEY …)"
    if now < certificate.valid_after:
        text = f"{where} is not valid before {format_time(certificate.valid_after)}"
        return [Result(Status.FAILED, text, "wait until then, or check the clock", subject)]
    if now >= certificate.valid_before:
        text = f"{where} expired at {format_time(certificate.valid_before)}"
        return [Result(Status.FAILED, text, renew, subject)]
    if certificate.valid_before - now < SOON:
        text = f"{where} expires at {format_time(certificate.valid_before)}"
        return [Result(Status.WARNING, text, renew, subject)]
    return []


async def check_passphrases(context: Context) -> Iterable[Result]:
    """Report encrypted keys that only a person can unlock."""
    keys = PrivateKeys()
    found: dict[str, Subject] = {}
    for host, subject in context.hops():
        if host.passphrase_command or host.keyring or not host.pubkey_authentication:
            continue
        held = await _held_by_agent(host)
        for path in host.identity_files:
            loaded = (await keys.read(path)).private
            if isinstance(loaded, KeyProblem) and loaded.kind is Unusable.ENCRYPTED:
                public = public_keys.load(path)
                if public is None or public.key not in held:
                    found.setdefault(path, subject)
    folder = context.machine.environment.get("CREDENTIALS_DIRECTORY")
    stored = await asyncio.to_thread(_names_in, folder) if folder else set()
    results = []
    for path, subject in found.items():
        if stored.isdisjoint(passphrase_credentials(path)):
            where = shlex.quote(printable(path, PATH_LIMIT))
            text = f"{where} is encrypted, so a person is asked for its passphrase"
            results.append(Result(Status.INFO, text, f"ssh-add {where}", subject))
    return results


def _names_in(folder: str) -> set[str]:
    try:
        return {each.name for each in Path(folder).iterdir()}
    except OSError:
        return set()


async def _held_by_agent(host: Host) -> set[bytes]:
    if host.identity_agent is None:
        return set()
    listed = await _list(host.identity_agent)
    return {key.blob for key in listed or ()}


async def _list(agent: str) -> list[ListedKey] | None:
    """Return the keys of an agent, or None if it does not answer."""
    try:
        async with asyncio.timeout(AGENT_TIMEOUT):
            return await list_keys(agent)
    except (OSError, TimeoutError):
        return None


async def check_agent(context: Context) -> Iterable[Result]:
    """Check each agent that a host uses."""
    users: dict[str, list[tuple[Host, Subject]]] = {}
    for host, subject in context.hops():
        if host.identity_agent is not None and host.pubkey_authentication:
            users.setdefault(host.identity_agent, []).append((host, subject))
    results: list[Result] = []
    for agent, hosts in users.items():
        started = time.monotonic()
        is_there = await asyncio.to_thread(_is_socket, agent)
        keys = await _list(agent) if is_there else None
        seconds = time.monotonic() - started
        tunnels = dict.fromkeys(name for _, subject in hosts for name in subject.tunnels)
        subject = Subject(tuple(tunnels))
        where = printable(agent, PATH_LIMIT)
        if keys is not None:
            results += _agent_results(where, keys, seconds, hosts, subject)
        elif is_there:
            remedy = f"SSH_AUTH_SOCK={shlex.quote(where)} ssh-add -l"
            text = f"the agent at {where} does not answer"
            results.append(Result(Status.WARNING, text, remedy, subject))
        else:
            text = f"there is no agent at {where}, so only key files are used"
            results.append(Result(Status.INFO, text, "eval $(ssh-agent) && ssh-add", subject))
    return results


def _is_socket(path: str) -> bool:
    try:
        return stat.S_ISSOCK(Path(path).stat().st_mode)
    except OSError:
        return False


def _agent_results(
    where: str,
    keys: list[ListedKey],
    seconds: float,
    hosts: list[tuple[Host, Subject]],
    subject: Subject,
) -> Iterator[Result]:
    """Yield what is worth knowing about an agent that answered after some seconds."""
    if seconds > SLOW_AGENT:
        text = f"the agent at {where} took {seconds:.1f} s to list its keys"
        yield Result(Status.WARNING, text, subject=subject)
    offering = [each for host, each in hosts if not host.identities_only]
    if len(keys) > MAX_TRIES and offering:
        names = dict.fromkeys(name for each in offering for name in each.tunnels)
        text = f"the agent at {where} has {len(keys)} keys, and a server accepts {MAX_TRIES} offers"
        remedy = "set `identities_only = true` and `identity_files` for these hosts"
        yield Result(Status.WARNING, text, remedy, Subject(tuple(names)))
    hardware = [printable(key.comment, 60) for key in keys if key.key_type.startswith("sk-")]
    if hardware:
        text = f"the agent holds keys that need a touch: {', '.join(hardware)}"
        yield Result(Status.INFO, text, subject=subject)
