"""The failures of host keys that are refused: what the server shows, what is known, what to do."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING

from msgspec import Struct

from tunnelkeeper.core.failures import Cause, Failure
from tunnelkeeper.core.text import printable
from tunnelkeeper.ssh.auth.known_hosts import fingerprint, host_pattern

if TYPE_CHECKING:
    import asyncssh

    from tunnelkeeper.core.configuration import Host
    from tunnelkeeper.ssh.auth.known_hosts import HostKeyLine


class HostKeyFailures(Struct, frozen=True):
    """The failures of one hop.

    tunnel: the name under which `tunnelkeeper trust` finds the hop.
    """

    host: Host
    port: int
    tunnel: str = ""

    @property
    def pattern(self) -> str:
        """The name of the host in known_hosts."""
        return host_pattern(self.host.hostname, self.port, self.host.host_key_alias)

    @property
    def trust_command(self) -> str:
        """The command that shows the keys of the whole chain and asks about each."""
        return f"tunnelkeeper trust {shlex.quote(self.tunnel or self.host.name)}"

    def unknown(
        self, key: asyncssh.SSHKey, certificate_problem: str, validity: tuple[float, float] | None
    ) -> Failure:
        """Return the failure of a host without a known key, when no question is asked.

        validity: that of the server's certificate, if the clock is outside it.
        """
        host = self.host
        shown = f"{describe_key(key)}{problem_text(certificate_problem)}"
        message = f"no host key is known for {self.pattern}; the server shows {shown}"
        if host.host_key_policy == "ask" and host.batch_mode:
            message += "; BatchMode forbids to ask whether to accept it"
        hint = (
            f"compare the fingerprint with the server's, then: {self.trust_command}; "
            'or set host_key_policy = "accept-new"'
        )
        if validity is not None:
            hint = f"{CLOCK_HINT}; otherwise {hint}"
        files = host.host_key_files
        return Failure(
            Cause.HOST_KEY_UNKNOWN,
            message,
            str(host),
            hint,
            files,
            certificate_validity=validity,
        )

    def changed(
        self, key: asyncssh.SSHKey, line: HostKeyLine, certificate_problem: str = ""
    ) -> Failure:
        """Return the failure of a key that is not the known one."""
        return Failure(
            Cause.HOST_KEY_CHANGED,
            f"the host key of {self.pattern} is not the known one: the server shows "
            f"{describe_key(key)}{problem_text(certificate_problem)}, {line.path}:{line.number} "
            f"has {line.algorithm} {fingerprint(line.blob)}",
            str(self.host),
            "this may be a man-in-the-middle attack; if the server's key was replaced: "
            f"`{removal_command(self.pattern, line.path)}`",
            self.host.host_key_files,
        )

    def address(self, key: asyncssh.SSHKey, line: HostKeyLine, address: str) -> Failure:
        """Return the failure of a key that is not that of the server's address (CheckHostIP)."""
        name = host_pattern(address, self.port, None)
        return Failure(
            Cause.HOST_KEY_CHANGED,
            f"the host key of {self.pattern} is not that of its address {name}: the server shows "
            f"{describe_key(key)}, {line.path}:{line.number} has "
            f"{line.algorithm} {fingerprint(line.blob)}",
            str(self.host),
            f"if the server has got this address: {removal_command(name, line.path)}; "
            "or set check_host_ip = false",
            self.host.host_key_files,
        )

    def revoked(self, key: asyncssh.SSHKey, line: HostKeyLine, ca_key: bytes = b"") -> Failure:
        """Return the failure of a key, or of a certificate by a CA key, that is revoked."""
        revoked = "whose CA key is" if line.blob == ca_key else "which is"
        return Failure(
            Cause.HOST_KEY_CHANGED,
            f"the server shows {describe_key(key)}, {revoked} revoked in {line.path}:{line.number}",
            str(self.host),
            "do not connect; ask the server's administrator",
            self.host.host_key_files,
        )

    def malformed(self, message: str) -> Failure:
        """Return the failure of a host key or certificate that cannot be checked."""
        hint = "ask the server's administrator to replace its host key or certificate"
        message = f"the server shows an unusable host key: {printable(message)}"
        return Failure(Cause.KEY_EXCHANGE, message, str(self.host), hint, self.host.host_key_files)


CLOCK_HINT = "check the clock of this machine and the validity of the server's certificate"


def removal_command(pattern: str, path: str) -> str:
    """Return the command that removes the lines of a host from a file."""
    return f"ssh-keygen -R '{pattern}' -f {shlex.quote(path)}"


def describe_key(key: asyncssh.SSHKey) -> str:
    """Return the type and fingerprint of a key."""
    return f"{key.algorithm.decode('ascii')} {fingerprint(key.public_data)}"


def problem_text(certificate_problem: str) -> str:
    """Return why the certificate of a key does not count, or an empty string."""
    if not certificate_problem:
        return ""
    return f" (with a certificate that is not accepted: {certificate_problem})"
