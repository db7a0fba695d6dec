"""What a start with no one present needs: keys that are locked, and hosts that are not known.

It connects to nothing. Whether a server asks for a password or a code is known at the login only.
"""

from __future__ import annotations

import asyncio
import shlex
from typing import TYPE_CHECKING

from tunnelkeeper.config import load
from tunnelkeeper.core.configuration import DEFAULT_SSH_PORT
from tunnelkeeper.core.failures import FailureError
from tunnelkeeper.core.text import printable
from tunnelkeeper.net.process_group import run_with_children
from tunnelkeeper.net.thread_executor import use_daemon_threads
from tunnelkeeper.questions.credentials import passphrase_credentials
from tunnelkeeper.ssh.auth.known_hosts_file import KnownHostsFiles
from tunnelkeeper.ssh.auth.private_keys import KeyProblem, PrivateKeys, Unusable
from tunnelkeeper.sshconfig import SshConfigError
from tunnelkeeper.tunnel.context import lookup_for

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tunnelkeeper.core.configuration import Configuration, Host


def find_needs(config_path: str, names: Sequence[str], credentials: set[str]) -> list[str]:
    """Return a sentence for each thing that an unattended start lacks, with the remedy.

    names: the tunnels that are started; empty for all with autostart. credentials: the names of
    those that the service will get. What cannot be found out is left out; `check` reports it.

    Raises ConfigError.
    """
    return run_with_children(_find_needs(load(config_path), names, credentials))


async def _find_needs(
    configuration: Configuration, names: Sequence[str], credentials: set[str]
) -> list[str]:
    use_daemon_threads(asyncio.get_running_loop())
    lookup = lookup_for(configuration)
    keys, known_hosts = PrivateKeys(), KnownHostsFiles()
    needs: dict[str, None] = {}
    for name, tunnel in configuration.tunnels.items():
        is_started = name in names if names else tunnel.autostart
        if not is_started:
            continue
        try:
            hosts = await lookup.resolve(tunnel)
        except (SshConfigError, OSError):
            continue
        for host in hosts:
            for need in (
                await _key_need(host, keys, credentials),
                await _host_key_need(name, host, known_hosts),
            ):
                if need:
                    needs[f"{host}: {need}"] = None
    return list(needs)


async def _key_need(host: Host, keys: PrivateKeys, credentials: set[str]) -> str:
    """Return what the login by key lacks, or "" if a key is usable or none is there."""
    if not host.pubkey_authentication or host.passphrase_command or host.keyring:
        return ""
    locked = []
    for path in host.identity_files:
        try:
            loaded = (await keys.read(path)).private
        except OSError:
            return ""
        if not isinstance(loaded, KeyProblem):
            return ""
        if loaded.kind is Unusable.ENCRYPTED:
            locked.append(path)
    wanted = [name for path in locked for name in passphrase_credentials(path)]
    if not locked or not credentials.isdisjoint(wanted):
        return ""
    option = shlex.join(["--credential", f"{passphrase_credentials(locked[0])[1]}:FILE"])
    remedy = f"set passphrase_command, or pass {option}"
    if host.identity_agent is not None:
        remedy += ", or let the service reach an agent that holds the key"
    return f"the key {printable(locked[0])} is encrypted: {remedy}"


async def _host_key_need(tunnel: str, host: Host, files: KnownHostsFiles) -> str:
    if host.host_key_policy == "accept-new" or host.known_hosts_command:
        return ""
    port = host.ports[0] if host.ports else DEFAULT_SSH_PORT
    searched = (*host.user_known_hosts, *host.system_known_hosts)
    try:
        known, _ = await files.keys_for(searched, host.hostname, port, host.host_key_alias)
    except (OSError, FailureError):
        return ""
    if known.host_keys or known.host_keys_without_port or known.ca_keys:
        return ""
    return f"its host key is not known: tunnelkeeper trust {shlex.quote(tunnel)}"
