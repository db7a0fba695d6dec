"""Whether to trust a server's host key: known_hosts and the policy of the host, for one login.

asyncssh is given no known host of its own, so every key comes here to be judged.
"""

from __future__ import annotations

from base64 import b64encode
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, assert_never

import asyncssh

from tunnelkeeper.core.failures import Cause, Failure
from tunnelkeeper.ssh.auth.known_hosts import (
    Changed,
    HostKeyLine,
    Known,
    OtherTypeKnown,
    Revoked,
    Trusted,
    Unknown,
    fingerprint,
    host_pattern,
    judge,
    known_algorithms,
)
from tunnelkeeper.ssh.auth.known_hosts_file import KnownHostsFiles, append

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from tunnelkeeper.core.configuration import Host


@dataclass(slots=True)
class HostKeyVerifier:
    """The judgement over one server's key during one key exchange.

    failure is set when a key was refused; new_key when an unknown one was taken (accept-new) and
    waits to be written down by `remember`, once its signature has proved good.
    """

    host: Host
    port: int
    known: Known
    files: KnownHostsFiles = field(default_factory=KnownHostsFiles)
    failure: Failure | None = None
    new_key: asyncssh.SSHKey | None = None

    @classmethod
    async def prepare(
        cls, host: Host, port: int, files: KnownHostsFiles, warn: Callable[[str], None]
    ) -> HostKeyVerifier:
        """Read what is known of a host."""
        paths = (*host.user_known_hosts, *host.system_known_hosts)
        known, warnings = await files.known(paths, host.hostname, port, host.host_key_alias)
        for warning in warnings:
            warn(warning)
        return cls(host, port, known, files)

    @property
    def known_types(self) -> tuple[str, ...]:
        """The types of the keys known, to be offered first."""
        return known_algorithms(self.known)

    def authorities(self) -> list[asyncssh.SSHKey]:
        """The keys that may sign this host's certificate."""
        return _imported(self.known.ca_keys)

    def revoked(self) -> list[asyncssh.SSHKey]:
        """The keys that must never be taken."""
        return _imported(self.known.revoked)

    def accepts(self, key: asyncssh.SSHKey) -> bool:
        """Judge a plain host key; a refusal is left in `failure`."""
        verdict = judge(self.known, key.algorithm.decode("ascii"), key.public_data)
        match verdict:
            case Trusted():
                return True
            case Unknown() if self.host.host_key_policy == "accept-new":
                self.new_key = key
                return True
            case Unknown():
                self.failure = self._unknown(key)
            case Changed(line=line):
                self.failure = self._changed(key, line)
            case OtherTypeKnown(lines=lines):
                self.failure = self._changed(key, lines[0])
            case Revoked(line=line):
                self.failure = self._revoked(key, line)
            case _:
                assert_never(verdict)
        return False

    def refused_certificate(self, why: str) -> Failure:
        """The failure for a host certificate that asyncssh did not take."""
        hint = "see the @cert-authority and @revoked lines of known_hosts"
        return Failure(Cause.HOST_KEY_CHANGED, why, str(self.host), hint, self._files)

    async def remember(self) -> str | None:
        """Write the new key down, unless another login has meanwhile; what was done, in words.

        Raises OSError.
        """
        key, self.new_key = self.new_key, None
        if key is None or not self.host.user_known_hosts:
            return None
        return await self.files.aside(self._files, lambda: self._record(key))

    def _record(self, key: asyncssh.SSHKey) -> str | None:
        """Blocks. Raises OSError."""
        algorithm = key.algorithm.decode("ascii")
        host = self.host
        lines, _ = self.files.keys_for(
            host.user_known_hosts, host.hostname, self.port, host.host_key_alias
        )
        if not isinstance(judge(lines, algorithm, key.public_data), Unknown):
            return None
        path = self.host.user_known_hosts[0]
        pattern = host_pattern(self.host.hostname, self.port, self.host.host_key_alias)
        append(path, pattern, algorithm, key.public_data, hashed=self.host.hash_known_hosts)
        return f"added the host key of {pattern} ({fingerprint(key.public_data)}) to {path}"

    @property
    def _files(self) -> tuple[str, ...]:
        return (*self.host.user_known_hosts, *self.host.system_known_hosts)

    @property
    def _pattern(self) -> str:
        return host_pattern(self.host.hostname, self.port, self.host.host_key_alias)

    def _unknown(self, key: asyncssh.SSHKey) -> Failure:
        return Failure(
            Cause.HOST_KEY_UNKNOWN,
            f"no host key is known for {self._pattern}; the server shows {_described(key)}",
            str(self.host),
            "compare the fingerprint with the server's own and connect once with ssh, "
            'or set host_key_policy = "accept-new"',
            self._files,
        )

    def _changed(self, key: asyncssh.SSHKey, line: HostKeyLine) -> Failure:
        return Failure(
            Cause.HOST_KEY_CHANGED,
            f"the host key of {self._pattern} is not the known one: the server shows "
            f"{_described(key)}, {line.path}:{line.number} has "
            f"{line.algorithm} {fingerprint(line.blob)}",
            str(self.host),
            "somebody may be in between; if the server's key was really replaced: "
            f"ssh-keygen -R '{self._pattern}' -f {line.path}",
            self._files,
        )

    def _revoked(self, key: asyncssh.SSHKey, line: HostKeyLine) -> Failure:
        return Failure(
            Cause.HOST_KEY_CHANGED,
            f"the server shows {_described(key)}, which is revoked in {line.path}:{line.number}",
            str(self.host),
            "do not connect; ask the server's administrator",
            self._files,
        )


def _described(key: asyncssh.SSHKey) -> str:
    return f"{key.algorithm.decode('ascii')} {fingerprint(key.public_data)}"


def _imported(lines: Sequence[HostKeyLine]) -> list[asyncssh.SSHKey]:
    """The lines' keys as asyncssh has them; types that it does not know cannot match anyway."""
    keys = []
    for line in lines:
        try:
            text = f"{line.algorithm} {b64encode(line.blob).decode('ascii')}"
            keys.append(asyncssh.import_public_key(text))
        except asyncssh.KeyImportError:
            continue
    return keys
