"""Saving of host keys that accept-new accepts: one key for one name, however many log in at once.

known_hosts is read again under a lock right before a key is appended, so the logins of this process
and of other ones cannot save two keys for one name. ssh takes no lock; if its line came first, ours
is removed again. All functions block on the disk and on the locks of other writers.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec import Struct

from tunnelkeeper.ssh.auth.known_hosts import (
    Changed,
    Trusted,
    Unknown,
    check_host_key,
    fingerprint,
    host_pattern,
)
from tunnelkeeper.ssh.auth.known_hosts_file import append_record, host_key_record, locked

if TYPE_CHECKING:
    from collections.abc import Sequence

    import asyncssh

    from tunnelkeeper.core.configuration import Host
    from tunnelkeeper.ssh.auth.known_hosts import Verdict
    from tunnelkeeper.ssh.auth.known_hosts_file import KnownHostsFiles


class NewHostKey(Struct, frozen=True):
    """A key that is not known for a name or for an address (is_address)."""

    key: asyncssh.SSHKey
    name: str
    alias: str | None
    is_address: bool = False

    @property
    def algorithm(self) -> str:
        """The type of the key."""
        return self.key.algorithm.decode("ascii")


class Conflict(Struct, frozen=True):
    """A key that is no longer new. verdict: Changed, OtherTypeKnown or Revoked."""

    new: NewHostKey
    verdict: Verdict


class NewHostKeys(Struct, frozen=True):
    """The new keys of one login."""

    host: Host
    port: int
    files: KnownHostsFiles
    keys: Sequence[NewHostKey]

    def save(self) -> list[str] | Conflict:
        """Append the keys that are still unknown. Return a log message for each.

        After a Conflict nothing is saved. Raises OSError, also if the file cannot be read for now.
        """
        path = self.host.user_known_hosts[0]
        records = [self._record(new) for new in self.keys]
        with locked(path) as descriptor:
            verdicts = [self.judge(new) for new in self.keys]
            if (conflict := _first_conflict(self.keys, verdicts)) is not None:
                return conflict
            messages = []
            for new, record, verdict in zip(self.keys, records, verdicts, strict=True):
                if not isinstance(verdict, Unknown):
                    continue
                undo = append_record(path, descriptor, record)
                if (conflict := self._overtaken(new, path)) is not None:
                    undo()
                    return conflict
                messages.append(
                    f"added the host key of {self._pattern(new)} "
                    f"({fingerprint(new.key.public_data)}) to {path}"
                )
        return messages

    def save_if_possible(self) -> tuple[list[str] | Conflict, OSError | None]:
        """Save the keys; if they cannot be written, only look for a conflict.

        Returns the result of `save`, and the error if nothing was written. Raises OSError if the
        file cannot be read for now.
        """
        try:
            return self.save(), None
        except OSError as error:
            verdicts = [self.judge(new) for new in self.keys]
            return _first_conflict(self.keys, verdicts) or [], error

    def judge(self, new: NewHostKey) -> Verdict:
        """Return the verdict on a key by the current files. Raises OSError."""
        host = self.host
        paths = (*host.user_known_hosts, *host.system_known_hosts)
        known, _ = self.files.keys_for_blocking(paths, new.name, self.port, new.alias)
        return check_host_key(known, new.algorithm, new.key.public_data)

    def _overtaken(self, new: NewHostKey, path: str) -> Conflict | None:
        """Return the conflict with a line that another program wrote before ours."""
        known, _ = self.files.keys_for_blocking([path], new.name, self.port, new.alias)
        blobs = [line.blob for line in known.host_keys]
        ours = new.key.public_data
        is_first = not blobs or blobs[0] == ours
        # A program that adds all keys of this server, such as ssh-keyscan, adds ours too.
        return (
            None
            if is_first or blobs.count(ours) > 1
            else Conflict(new, Changed(known.host_keys[0]))
        )

    def _pattern(self, new: NewHostKey) -> str:
        return host_pattern(new.name, self.port, new.alias)

    def _record(self, new: NewHostKey) -> bytes:
        return host_key_record(
            self.host.user_known_hosts[0],
            self._pattern(new),
            new.algorithm,
            new.key.public_data,
            hashed=self.host.hash_known_hosts,
        )


def _first_conflict(keys: Sequence[NewHostKey], verdicts: Sequence[Verdict]) -> Conflict | None:
    for new, verdict in zip(keys, verdicts, strict=True):
        if not isinstance(verdict, Trusted | Unknown):
            return Conflict(new, verdict)
    return None
