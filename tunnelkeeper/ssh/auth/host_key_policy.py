"""Host keys that are refused whatever known_hosts says, as verify_host_key() of ssh(1) does.

These are revoked keys and RSA keys that are too small.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NoReturn

import asyncssh

from tunnelkeeper.core.failures import EXHAUSTION_ERRNOS, Cause, Failure, FailureError
from tunnelkeeper.net.error_text import os_error_text
from tunnelkeeper.ssh.auth.key_blobs import rsa_bits
from tunnelkeeper.ssh.auth.known_hosts import fingerprint
from tunnelkeeper.ssh.auth.openssh_certificate import presented_key
from tunnelkeeper.ssh.auth.revoked_keys import RevokedKeys, UnreadableListError

if TYPE_CHECKING:
    from tunnelkeeper.core.configuration import Host
    from tunnelkeeper.ssh.auth.revoked_keys import RevokedKeyFiles


@dataclass(slots=True)
class HostKeyPolicy:
    """The policy for one login. failure: set when a key is refused."""

    host: Host
    revoked: RevokedKeys
    failure: Failure | None = None

    @classmethod
    async def prepare(cls, host: Host, files: RevokedKeyFiles) -> HostKeyPolicy:
        """Read the lists of revoked keys.

        Raises FailureError if a list cannot be read: then ssh accepts no host key, too. Raises
        OSError if this machine is out of resources.
        """
        try:
            revoked = await files.read(host.revoked_host_keys)
        except UnreadableListError as error:
            raise FailureError(unreadable_list_failure(host, str(error))) from error
        except OSError as error:
            raise_unread_files(host, "revoked_host_keys", error)
        return cls(host, revoked)

    def check_host_key(self, blob: bytes) -> None:
        """Check a key or certificate that the server presents.

        Raises asyncssh.HostKeyNotVerifiable, and sets `failure`.
        """
        self.failure = self._too_small(blob) or self._revoked(blob)
        if self.failure is not None:
            raise asyncssh.HostKeyNotVerifiable(self.failure.message)

    def _too_small(self, blob: bytes) -> Failure | None:
        bits, required = rsa_bits(blob), self.host.required_rsa_size
        if bits is None or bits >= required:
            return None
        return Failure(
            Cause.KEY_EXCHANGE,
            f"the server's RSA host key has {bits} bits, and RequiredRSASize asks for {required}",
            str(self.host),
            "give the server a larger key or one of another type, or lower required_rsa_size",
        )

    def _revoked(self, blob: bytes) -> Failure | None:
        key = presented_key(blob)
        path = self.revoked.file_that_revokes(key)
        if path is None:
            return None
        what = "key" if key.ca_blob is None else "certificate"
        return Failure(
            Cause.HOST_KEY_CHANGED,
            f"the server's host {what} {fingerprint(key.blob)} is revoked by {path}",
            str(self.host),
            "do not connect; ask the server's administrator",
            self.host.revoked_host_keys,
        )


def unreadable_list_failure(host: Host, reason: str) -> Failure:
    """Return the failure for a list that cannot be read."""
    return Failure(
        Cause.HOST_KEY_UNKNOWN,
        f"no host key can be trusted, because the list of revoked keys cannot be read: {reason}",
        str(host),
        "restore the file, or change revoked_host_keys (RevokedHostKeys of ssh_config)",
        host.revoked_host_keys,
    )


def raise_unread_files(host: Host, what: str, error: OSError) -> NoReturn:
    """Raise the failure of files of host keys that cannot be read for now, as on a disk that hangs.

    what: the key of the config file that names them. Exhausted resources are raised unchanged.
    """
    if error.errno in EXHAUSTION_ERRNOS:
        raise error
    raise FailureError(unread_files_failure(host, what, error)) from error


def unread_files_failure(host: Host, what: str, error: OSError) -> Failure:
    """Return the failure of files of host keys that cannot be read for now."""
    hint = f"check the file system of {what}"
    return Failure(Cause.LOCAL_RESOURCES, f"{what}: {os_error_text(error)}", str(host), hint)
