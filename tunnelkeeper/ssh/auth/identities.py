"""The keys to offer at a login and their order, as in pubkey_prepare() of ssh(1).

Agent keys that a configured file names come first, then other agent keys (unless identities_only),
then key files. Keys that could not be offered are recorded for the failure message. This module
sends nothing to the server.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from math import inf
from typing import TYPE_CHECKING

import asyncssh

from tunnelkeeper.core.failures import EXHAUSTION_ERRNOS, Cause, Failure, local_resources_failure
from tunnelkeeper.core.text import printable
from tunnelkeeper.ssh.auth import algorithms
from tunnelkeeper.ssh.auth.agent import AgentClient, AgentWait, key_name
from tunnelkeeper.ssh.auth.key_blobs import rsa_bits
from tunnelkeeper.ssh.auth.private_keys import (
    KeyProblem,
    PrivateKeys,
    Unusable,
    load_certificate,
    load_public_blob,
)

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable, Iterator, Sequence

    from tunnelkeeper.core.configuration import Host

AGENT_TIMEOUT = 5.0
"""Seconds an agent may take to list its keys before the key files are offered first, so that a hung
agent does not block the login. An agent that lists them later, when a person has unlocked it, is
still used if no file is accepted."""

OfferedKey = asyncssh.SSHKeyPair


@dataclass(slots=True)
class Identities:
    """The keys for one login on one host, returned one by one.

    Attributes:
        agent_wait: What the agent has not answered yet.
    """

    host: Host
    keys: PrivateKeys
    offered: list[str] = field(default_factory=list)
    problems: list[KeyProblem] = field(default_factory=list)
    agent_problem: str = ""
    agent_wait: AgentWait = field(default_factory=AgentWait)
    _resource_error: OSError | None = None
    _agent: AgentClient | None = None
    _offers: AsyncIterator[OfferedKey] | None = None

    async def next_key(self) -> OfferedKey | None:
        """Return the next key to offer; None after the last or if this machine lacks resources."""
        if self._offers is None:
            self._offers = self._ordered_offers()
        try:
            return await anext(self._offers, None)
        except OSError as error:
            self._resource_error = error
            return None

    def close(self) -> None:
        """Close the connection to the agent."""
        if self._agent is not None:
            self._agent.close()
            self._agent = None

    def agent_failure(self) -> Failure:
        """Return the failure of a login that ended while it waited for a person at the agent.

        It needs a user, so that an absent one is not asked again and again.
        """
        hint = (
            "it may wait for a touch, a PIN or a confirmation: restart the tunnel when you are "
            "there. If it asks for nothing, it hangs; then `ssh-add -L` hangs too"
        )
        message = (
            f"the login ended before the agent answered the request to {self.agent_wait.request}"
        )
        files = (*self.host.identity_files, *self.host.certificate_files)
        return Failure(Cause.SECRET_NEEDED, message, str(self.host), hint, files)

    def login_failure(self, accepted_methods: Sequence[str]) -> Failure:
        """Return the login failure with the keys that were and were not offered."""
        if self._resource_error is not None:
            return local_resources_failure(printable(str(self._resource_error)), str(self.host))
        encrypted = [p for p in self.problems if p.kind is Unusable.ENCRYPTED]
        skipped = "; ".join(str(p) for p in self._reportable_problems())
        offered = (
            f"offered {', '.join(self.offered)}" if self.offered else "no key could be offered"
        )
        if self.agent_problem:
            offered += f"; agent: {self.agent_problem}"
        message = f"login as {self.host.user} refused; {offered}" + (
            f"; not used: {skipped}" if skipped else ""
        )
        files = (*self.host.identity_files, *self.host.certificate_files)
        if encrypted:
            return Failure(Cause.SECRET_NEEDED, message, str(self.host), encrypted[0].remedy, files)
        hint = _hint(self.host, accepted_methods, self._reportable_problems())
        return Failure(Cause.AUTH, message, str(self.host), hint, files)

    def _reportable_problems(self) -> list[KeyProblem]:
        return [p for p in self.problems if p.kind is not Unusable.MISSING]

    async def _ordered_offers(self) -> AsyncIterator[OfferedKey]:
        certificates = [
            certificate
            for path in self.host.certificate_files
            if (certificate := load_certificate(path)) is not None
        ]
        blobs = {path: load_public_blob(path) for path in self.host.identity_files}
        pairs = await self._agent_keys(AGENT_TIMEOUT if self._has_key_file() else None)
        for offer in self._agent_offers(pairs or (), blobs.values(), certificates):
            yield offer
        by_agent = {pair.public_data for pair in pairs or ()}
        for path, public in blobs.items():
            if public is None or public not in by_agent:
                for offer in self._file_offers(path, certificates):
                    yield offer
        if pairs is None:
            by_file = {blob for path, blob in blobs.items() if path in self.offered}
            late = await self._agent_keys(None) or ()
            unused = [pair for pair in late if pair.public_data not in by_file]
            for offer in self._agent_offers(unused, blobs.values(), certificates):
                yield offer

    def _has_key_file(self) -> bool:
        return any(
            not isinstance(self.keys.load(path), KeyProblem) for path in self.host.identity_files
        )

    def _agent_offers(
        self,
        pairs: Iterable[asyncssh.SSHKeyPair],
        blobs: Iterable[bytes | None],
        certificates: Sequence[asyncssh.SSHCertificate],
    ) -> Iterator[OfferedKey]:
        """Yield the agent's keys: first those that a configured file names."""
        by_blob = {pair.public_data: pair for pair in pairs}
        named = [blob for blob in blobs if blob is not None]
        others = [] if self.host.identities_only else [b for b in by_blob if b not in named]
        for blob in [*named, *others]:
            if blob in by_blob:
                for offer in self._filter_accepted(
                    "agent", self._with_agent_certificates(by_blob[blob], certificates)
                ):
                    self.offered.append(f"{key_name(offer)} (agent)")
                    yield offer

    def _file_offers(
        self, path: str, certificates: Sequence[asyncssh.SSHCertificate]
    ) -> Iterator[OfferedKey]:
        loaded = self.keys.load(path)
        if isinstance(loaded, KeyProblem):
            self.problems.append(loaded)
            return
        adjacent = load_certificate(f"{path}-cert.pub")
        candidates = certificates if adjacent is None else [*certificates, adjacent]
        for key in self._filter_accepted(path, _with_certificates(loaded, candidates)):
            if path not in self.offered:
                self.offered.append(path)
            yield key

    def _filter_accepted(self, source: str, offers: Iterable[OfferedKey]) -> Iterator[OfferedKey]:
        """Yield the keys of accepted types. Record the others as problems."""
        for offer in offers:
            key_type = offer.algorithm.decode("ascii")
            if not algorithms.is_key_type_accepted(self.host, key_type):
                message = f"{key_type} is not in PubkeyAcceptedAlgorithms"
                self.problems.append(KeyProblem(source, Unusable.NOT_ACCEPTED, message))
            elif (bits := rsa_bits(offer.public_data) or inf) < self.host.required_rsa_size:
                required = self.host.required_rsa_size
                message = f"it has {bits} bits, and RequiredRSASize asks for {required}"
                self.problems.append(KeyProblem(source, Unusable.NOT_ACCEPTED, message))
            else:
                yield offer

    async def _agent_keys(self, timeout: float | None) -> Sequence[asyncssh.SSHKeyPair] | None:
        """Return the agent's keys, or None if it did not list them within the timeout."""
        if self.host.identity_agent is None:
            return ()
        self._agent = AgentClient(self.host.identity_agent, self.agent_wait)
        self.agent_problem = ""
        try:
            async with asyncio.timeout(timeout):
                return await self._agent.get_keys()
        except (OSError, ValueError, asyncssh.Error) as error:
            if isinstance(error, OSError) and error.errno in EXHAUSTION_ERRNOS:
                raise
            self.close()
            if isinstance(error, TimeoutError):
                self.agent_wait.clear()
                self.agent_problem = f"it has not listed its keys within {timeout:g} s"
                return None
            self.agent_problem = printable(str(error) or type(error).__name__)
            return ()

    def _with_agent_certificates(
        self, pair: asyncssh.SSHKeyPair, certificates: Sequence[asyncssh.SSHCertificate]
    ) -> Iterator[asyncssh.SSHKeyPair]:
        """Yield an agent key with each certificate for it, then without one."""
        for certificate in certificates:
            if self._agent is not None and certificate.key.public_data == pair.public_data:
                comment = pair.get_comment_bytes() or b""
                certified = asyncssh.SSHAgentKeyPair(
                    self._agent, pair.algorithm, pair.public_data, comment
                )
                certified.set_certificate(certificate)
                yield certified
        yield pair


def _with_certificates(
    key: asyncssh.SSHKey, certificates: Sequence[asyncssh.SSHCertificate]
) -> list[OfferedKey]:
    """Return a key with each certificate for it, then without one."""
    own = [(key, c) for c in certificates if c.key.public_data == key.public_data]
    certified = [asyncssh.load_keypairs([pair])[0] for pair in own]
    return [*certified, *asyncssh.load_keypairs([key])]


def _hint(host: Host, accepted: Sequence[str], problems: Sequence[KeyProblem]) -> str:
    for problem in problems:
        if problem.remedy:
            return problem.remedy
    if accepted and not any(method.startswith("publickey") for method in accepted):
        return f"the server takes no keys, only {', '.join(accepted)}"
    return (
        f"put the public key into ~{host.user}/.ssh/authorized_keys on the server, "
        f"or set the right user and identity_files"
    )
