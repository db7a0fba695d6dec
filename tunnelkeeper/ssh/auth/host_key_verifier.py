"""Verification of a server's host key by known_hosts and the host's policy, for one login.

asyncssh gets no known hosts of its own, so every key and certificate comes to this module.
"""

from __future__ import annotations

import ipaddress
import os
import time
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, assert_never

import asyncssh
from asyncssh.public_key import decode_ssh_public_key

from tunnelkeeper.core.algorithms import SIGNATURES
from tunnelkeeper.core.configuration import DEFAULT_SSH_PORT
from tunnelkeeper.core.failures import Failure, FailureError
from tunnelkeeper.core.wildcards import ascii_lower
from tunnelkeeper.ssh.auth.algorithms import ca_signature_algorithms
from tunnelkeeper.ssh.auth.host_key_failures import HostKeyFailures
from tunnelkeeper.ssh.auth.host_key_policy import raise_unread_files, unread_files_failure
from tunnelkeeper.ssh.auth.known_hosts import (
    Changed,
    KnownHosts,
    KnownKeys,
    OtherTypeKnown,
    Revoked,
    Trusted,
    Unknown,
    check_ca,
    check_host_key,
    combined_keys,
    fingerprint,
    host_pattern,
    known_key_types,
)
from tunnelkeeper.ssh.auth.known_hosts_command import (
    Reason,
    depends_on_key,
    run_known_hosts_command,
)
from tunnelkeeper.ssh.auth.known_hosts_file import KnownHostsFiles
from tunnelkeeper.ssh.auth.new_host_keys import Conflict, NewHostKey, NewHostKeys
from tunnelkeeper.ssh.auth.openssh_certificate import Certificate, host_certificate_problem

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from tunnelkeeper.core.configuration import Host
    from tunnelkeeper.ssh.auth.known_hosts import HostKeyLine


@dataclass(slots=True)
class HostKeyVerifier:
    """The verification of one server's host key.

    failure: set when a key is refused. new_key: set when an unknown key may be accepted. Once its
    signature is verified, `save_new_keys` writes it to known_hosts (accept-new), or refuses it
    until a person accepts it (ask). Then it sets unknown_key, and unknown_address_key.
    address: of the server, if it is known (`use_address`). address_keys: the keys known for it, if
    CheckHostIP applies. new_address_key: like new_key, for the address. order_keys: keys that only
    decide which types are asked for first.
    is_overtaken: whether another login saved a key of another type for the host meanwhile. The next
    attempt asks for that type, and the server may have both keys.
    certificate_problem: why the server's certificate is not accepted, or empty.
    certificate_validity: of a certificate that would be accepted at another time.
    tunnel: the name of the tunnel, for messages.
    trusted_line: the line that has the plain key under the host's own name, for UpdateHostKeys.
    trusted_address_line: the same for the address.
    ca_algorithms: the algorithms that CAs may sign with.
    wall_time: returns the Unix time, for the validity of certificates.
    """

    host: Host
    port: int
    known_keys: KnownKeys
    files: KnownHostsFiles = field(default_factory=KnownHostsFiles)
    failure: Failure | None = None
    new_key: asyncssh.SSHKey | None = None
    unknown_key: asyncssh.SSHKey | None = None
    unknown_address_key: asyncssh.SSHKey | None = None
    address: str = ""
    address_keys: KnownKeys | None = None
    new_address_key: asyncssh.SSHKey | None = None
    order_keys: KnownKeys = field(default_factory=KnownKeys)
    is_overtaken: bool = False
    certificate_problem: str = ""
    certificate_validity: tuple[float, float] | None = None
    tunnel: str = ""
    trusted_line: HostKeyLine | None = None
    trusted_address_line: HostKeyLine | None = None
    ca_algorithms: Sequence[str] = SIGNATURES
    wall_time: Callable[[], float] = time.time
    debug: Callable[[str], None] = lambda _: None

    @classmethod
    async def prepare(
        cls, host: Host, port: int, files: KnownHostsFiles, warn: Callable[[str], None]
    ) -> HostKeyVerifier:
        """Read the known keys of a host.

        Raises FailureError if CASignatureAlgorithms allows no supported algorithm, or known_hosts
        cannot be read for now. Raises OSError if this machine is out of resources.
        """
        ca_algorithms = ca_signature_algorithms(host)
        verifier = cls(host, port, KnownKeys(), files, ca_algorithms=ca_algorithms)
        verifier.known_keys, warnings = await verifier._read(host.hostname, host.host_key_alias)
        if host.known_hosts_command:
            warnings += await verifier._run_command("ORDER" if depends_on_key(host) else "HOSTNAME")
        for warning in warnings:
            warn(warning)
        return verifier

    async def prepare_for_key(self, blob: bytes) -> None:
        """Ask KnownHostsCommand about the key or certificate that the server presents.

        Raises asyncssh.HostKeyNotVerifiable, and sets `failure`.
        """
        if not depends_on_key(self.host):
            return
        try:
            await self._run_command("HOSTNAME", blob)
            if self.address_keys is not None:
                await self._run_command("ADDRESS", blob)
        except FailureError as failed:
            self.failure = failed.failure
            raise asyncssh.HostKeyNotVerifiable(failed.failure.message) from failed

    async def _run_command(self, reason: Reason, blob: bytes | None = None) -> tuple[str, ...]:
        """Run KnownHostsCommand and add the keys that it prints. Return its warnings.

        Raises FailureError.
        """
        host = self.host
        of = (host.hostname, self.port, host.host_key_alias)
        if reason == "ADDRESS":
            of = (self.address, self.port, None)
        # For the order, ssh passes the name without a port.
        name = host_pattern(of[0], DEFAULT_SSH_PORT if reason == "ORDER" else of[1], of[2])
        lines, warnings = await run_known_hosts_command(host, name, reason, blob)
        printed = KnownHosts(lines).keys_for(*of)
        match reason:
            case "ORDER":
                self.order_keys = printed
            case "HOSTNAME":
                self.known_keys = combined_keys(self.known_keys, printed)
            case "ADDRESS" if self.address_keys is not None:
                self.address_keys = combined_keys(self.address_keys, printed)
        return warnings

    async def _read(self, name: str, alias: str | None) -> tuple[KnownKeys, tuple[str, ...]]:
        """Return the keys that known_hosts has for a name, and warnings. Raises as `prepare`."""
        try:
            return await self.files.keys_for(self.searched_files, name, self.port, alias)
        except OSError as error:
            raise_unread_files(self.host, "known_hosts", error)

    async def use_address(self, address: str) -> None:
        """Read the keys known for the server's address, before it is connected to.

        The conditions for CheckHostIP are those of check_host_key() in ssh. Raises as `prepare`.
        """
        self.address = address.partition("%")[0]
        if self.host.check_host_ip and not (self._is_loopback or address == self.host.hostname):
            self.address_keys, _ = await self._read(self.address, None)
            if self.host.known_hosts_command and not depends_on_key(self.host):
                await self._run_command("ADDRESS")

    @property
    def _is_exempt(self) -> bool:
        """Whether every key is accepted: NoHostAuthenticationForLocalhost."""
        host = self.host
        exempts = host.no_host_authentication_for_localhost and host.host_key_alias is None
        return exempts and self._is_loopback

    @property
    def _is_loopback(self) -> bool:
        return bool(self.address) and ipaddress.ip_address(self.address).is_loopback

    @property
    def known_types(self) -> tuple[str, ...]:
        """The types of the known keys, to be offered first."""
        return known_key_types(combined_keys(self.known_keys, self.order_keys))

    @property
    def has_ca_keys(self) -> bool:
        """Whether a CA key that may sign this host's certificate is known, or may be later."""
        return bool(self.known_keys.ca_keys) or depends_on_key(self.host)

    def verify_certificate(self, certificate: Certificate) -> bool:
        """Return whether to accept a host certificate, or else its plain key, as ssh does.

        Set `failure` if not. ssh does not apply CheckHostIP to the plain key of a certificate.

        Raises:
            asyncssh.KeyImportError: The type of the certified key is not supported.
        """
        if self._is_exempt:
            return True
        verdict = check_ca(self.known_keys, certificate.ca_key, certificate.key)
        key = decode_ssh_public_key(certificate.key)
        match verdict:
            case Revoked(line=line):
                self.failure = self.failures.revoked(key, line, certificate.ca_key)
                return False
            case Trusted():
                name = ascii_lower(self.host.host_key_alias or self.host.hostname)
                problem = host_certificate_problem(
                    certificate, name, self.wall_time(), self.ca_algorithms
                )
            case Unknown():
                problem = f"its CA key {fingerprint(certificate.ca_key)} is not in known_hosts"
            case _:
                assert_never(verdict)
        self.certificate_problem = problem
        if not problem:
            return True
        self.debug(f"{self._pattern}: the host certificate is not accepted: {problem}")
        validity = (certificate.valid_after, certificate.valid_before)
        if isinstance(verdict, Trusted) and not validity[0] <= self.wall_time() < validity[1]:
            self.certificate_validity = validity
        is_accepted = self._verify_name(key)
        if self.failure is not None:
            self.failure = replace(self.failure, certificate_validity=self.certificate_validity)
        return is_accepted

    def verify(self, key: asyncssh.SSHKey) -> bool:
        """Return whether to accept a plain host key. Set `failure` if not."""
        if self._is_exempt:
            return True
        return self._verify_name(key) and self._verify_address(key)

    def _verify_name(self, key: asyncssh.SSHKey) -> bool:
        verdict = check_host_key(self.known_keys, key.algorithm.decode("ascii"), key.public_data)
        match verdict:
            case Trusted(line=line):
                is_for_name = line not in self.known_keys.host_keys_without_port
                self.trusted_line = line if is_for_name else None
                return True
            case Unknown() if self.files.is_accepted(
                self.searched_files, self._pattern, key.public_data
            ):
                return True
            case Unknown() if self.host.host_key_policy == "accept-new" or self.may_ask:
                self.new_key = key
                return True
            case Unknown():
                self.failure = self.failures.unknown(
                    key, self.certificate_problem, self.certificate_validity
                )
            case Changed(line=line):
                self.failure = self.failures.changed(key, line, self.certificate_problem)
            case OtherTypeKnown(lines=lines):
                self.failure = self.failures.changed(key, lines[0], self.certificate_problem)
            case Revoked(line=line):
                self.failure = self.failures.revoked(key, line)
            case _:
                assert_never(verdict)
        return False

    def _verify_address(self, key: asyncssh.SSHKey) -> bool:
        """Return whether the key is not another one than that of the server's address."""
        if self.address_keys is None:
            return True
        verdict = check_host_key(self.address_keys, key.algorithm.decode("ascii"), key.public_data)
        match verdict:
            case Trusted(line=line):
                self.trusted_address_line = line
                return True
            case Unknown():
                self.new_address_key = key
                return True
            case Changed(line=line) | Revoked(line=line):
                self.failure = self.failures.address(key, line, self.address)
            case OtherTypeKnown(lines=lines):
                self.failure = self.failures.address(key, lines[0], self.address)
            case _:
                assert_never(verdict)
        self.new_key = None
        return False

    @property
    def failures(self) -> HostKeyFailures:
        """The failures of this hop."""
        return HostKeyFailures(self.host, self.port, self.tunnel)

    @property
    def has_new_keys(self) -> bool:
        """Whether a key was accepted that `save_new_keys` must still save."""
        return self.new_key is not None or self.new_address_key is not None

    async def save_new_keys(self) -> list[str]:
        """Add the new keys to known_hosts. Return a log message for each line that was written.

        Another login may have added a key of this server meanwhile.

        Raises:
            asyncssh.HostKeyNotVerifiable: It is another key, or known_hosts cannot be read for now:
                `failure` is set. Or a person must accept the key: `unknown_key` is set.
            OSError: The keys cannot be written; they are accepted nevertheless, as by ssh.
        """
        host = self.host
        if self.new_key is not None and host.host_key_policy == "ask":
            self.unknown_key, self.unknown_address_key = self.new_key, self.new_address_key
            self.new_key = self.new_address_key = None
            raise asyncssh.HostKeyNotVerifiable("Host key is not trusted")
        keys = self._new_host_keys(self.new_key, self.new_address_key)
        self.new_key = self.new_address_key = None
        if not keys or not host.user_known_hosts:
            return []
        return await self._save(keys)

    async def save_unknown_key(self) -> list[str]:
        """Add the unknown key to known_hosts: a person has accepted it.

        If it cannot be written, it is accepted until this process ends. Otherwise as save_new_keys.
        """
        key, host = self.unknown_key, self.host
        if key is None:
            return []
        keys = self._new_host_keys(key, self.unknown_address_key)
        is_kept = any(path != os.devnull for path in host.user_known_hosts[:1])
        try:
            messages = await self._save(keys) if host.user_known_hosts else []
        except OSError:
            is_kept = False
            raise
        finally:
            if not is_kept and self.failure is None:
                self.files.accept(self.searched_files, self._pattern, key.public_data)
        return messages if is_kept else []

    def _new_host_keys(
        self, key: asyncssh.SSHKey | None, address_key: asyncssh.SSHKey | None
    ) -> list[NewHostKey]:
        keys = []
        if key is not None:
            keys.append(NewHostKey(key, self.host.hostname, self.host.host_key_alias))
        if address_key is not None:
            keys.append(NewHostKey(address_key, self.address, None, is_address=True))
        return keys

    async def _save(self, keys: Sequence[NewHostKey]) -> list[str]:
        new = NewHostKeys(self.host, self.port, self.files, keys)
        try:
            result, write_error = await self.files.run_in_thread(
                self.searched_files, new.save_if_possible
            )
        except OSError as error:
            self.failure = unread_files_failure(self.host, "known_hosts", error)
            raise asyncssh.HostKeyNotVerifiable("Host key is not verified") from error
        if isinstance(result, Conflict):
            self.failure = self._conflict_failure(result)
            raise asyncssh.HostKeyNotVerifiable("Host key is not trusted")
        if write_error is not None:
            raise write_error
        return result

    def _conflict_failure(self, conflict: Conflict) -> Failure:
        new = conflict.new
        match conflict.verdict:
            case Changed(line=line) | OtherTypeKnown(lines=(line, *_)) as verdict:
                self.is_overtaken = isinstance(verdict, OtherTypeKnown)
                if new.is_address:
                    return self.failures.address(new.key, line, self.address)
                return self.failures.changed(new.key, line, self.certificate_problem)
            case Revoked(line=line):
                return self.failures.revoked(new.key, line)
            case verdict:
                raise AssertionError(verdict)

    @property
    def may_ask(self) -> bool:
        """Whether a person may be asked about an unknown key."""
        return self.host.host_key_policy == "ask" and not self.host.batch_mode

    @property
    def searched_files(self) -> tuple[str, ...]:
        """The files that are searched for known keys, in this order."""
        return (*self.host.user_known_hosts, *self.host.system_known_hosts)

    @property
    def _pattern(self) -> str:
        return host_pattern(self.host.hostname, self.port, self.host.host_key_alias)
