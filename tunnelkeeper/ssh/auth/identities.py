"""The identities of one login: what is offered to the server, in which order, and who signs.

As in ssh, a key is offered by its public half. Its private key is read, or the agent asked, when
the server accepts it. What could not be used is recorded for the failure message.
"""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import asyncssh

from tunnelkeeper.core.failures import Cause, Failure, local_resources_failure
from tunnelkeeper.core.text import printable
from tunnelkeeper.ssh.auth import algorithms, public_keys
from tunnelkeeper.ssh.auth.agent import Action, UserWait
from tunnelkeeper.ssh.auth.algorithms import NOTHING_KNOWN, ServerSignatures
from tunnelkeeper.ssh.auth.identity_order import Identity, find_signer, order_identities
from tunnelkeeper.ssh.auth.key_blobs import rsa_bits
from tunnelkeeper.ssh.auth.key_loader import Confirm, KeyLoader, Unlocking, answer_no
from tunnelkeeper.ssh.auth.login_agent import LoginAgent, error_text
from tunnelkeeper.ssh.auth.login_failure import LoginRecord, ServerReplies, login_failure
from tunnelkeeper.ssh.auth.openssh_certificate import next_validity
from tunnelkeeper.ssh.auth.private_keys import IdentityFile, KeyProblem, PrivateKeys, Unusable

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence

    from tunnelkeeper.core.configuration import Host
    from tunnelkeeper.ssh.auth.agent import SessionBinding

AGENT_TIMEOUT = 5.0
"""Seconds an agent may take to list its keys before the key files are offered first, so that a hung
agent does not block the login. An agent that lists them later, when a person has unlocked it, is
still used if no file is accepted."""


@dataclass(slots=True)
class Offer:
    """A key or certificate to offer. asyncssh asks it to sign if the server accepts it."""

    algorithm: bytes
    public_data: bytes
    _sign: Callable[[bytes], Awaitable[bytes]]

    async def sign_async(self, data: bytes) -> bytes:
        """Return the signature of the data.

        Raises ValueError, after which asyncssh asks for the next key.
        """
        return await self._sign(data)


@dataclass(slots=True)
class Identities:
    """The identities for one login on one host, offered one by one.

    Attributes:
        record: What was offered, accepted and signed so far, and what could not be used.
        user_wait: What the login waits for that may need its user.
        wall_time: Returns the Unix time, for the validity of certificates.
        unlocking: What encrypted keys are unlocked with; None if they stay locked.
        confirm: Asks a person whether a key may be added to the agent.
    """

    host: Host
    keys: PrivateKeys
    record: LoginRecord = field(default_factory=LoginRecord)
    user_wait: UserWait = field(default_factory=UserWait)
    wall_time: Callable[[], float] = time.time
    unlocking: Unlocking | None = None
    confirm: Confirm = answer_no
    _resource_error: OSError | None = None
    _configured: tuple[list[Identity], list[Identity]] | None = None
    _files: dict[str, IdentityFile] = field(default_factory=dict)
    _agent: LoginAgent = field(init=False)
    _loader: KeyLoader = field(init=False)
    _order: tuple[Identity, ...] = ()
    _refused: set[bytes] = field(default_factory=set)
    _offers: AsyncIterator[Offer] | None = None

    def __post_init__(self) -> None:
        """Make the parts of the login."""
        self._agent = LoginAgent(self.host, self.record, self.user_wait)
        self._loader = KeyLoader(
            self.host, self.keys, self._agent, self.user_wait, self.unlocking, self.confirm
        )

    @property
    def was_unlocked(self) -> bool:
        """Whether a key was unlocked while this login failed for the lack of it."""
        return self._loader.was_unlocked

    async def next_key(
        self, server: ServerSignatures = NOTHING_KNOWN, binding: SessionBinding | None = None
    ) -> Offer | None:
        """Return the next key to offer; None after the last or if this machine lacks resources.

        binding: what the agent is notified of before it lists its keys.
        """
        if self._offers is None:
            self._agent.binding = binding
            self._offers = self._ordered_offers(server)
        try:
            return await anext(self._offers, None)
        except OSError as error:
            self._resource_error = error
            return None

    async def read_files(self) -> None:
        """Read the identity files and the certificates, which takes long if their disk hangs.

        Raises OSError with one of EXHAUSTION_ERRNOS.
        """
        if self._configured is None:
            self._configured = await self._configured_identities()

    def close(self) -> None:
        """Close the connection to the agent."""
        self._agent.close()

    def absent_user_failure(self) -> Failure:
        """Return the failure of a login that ended while it waited for its user.

        It needs a user, so that an absent one is not asked again and again.
        """
        hint = (
            "it may need a touch, a PIN or a confirmation: restart the tunnel when you are there. "
            "An agent that asks for nothing hangs; then `ssh-add -L` hangs too"
        )
        message = f"the login ended while it waited for {self.user_wait.request}"
        files = self.host.login_files
        return Failure(Cause.ANSWER_NEEDED, message, str(self.host), hint, files)

    def login_failure(self, replies: ServerReplies, ssh_options: Sequence[str] = ()) -> Failure:
        """Return the failure of a login that the server refused.

        ssh_options: the options with which ssh reaches the host.
        """
        if self._resource_error is not None:
            return local_resources_failure(printable(str(self._resource_error)), str(self.host))
        return self.with_dependencies(login_failure(self.host, self.record, replies, ssh_options))

    async def ask_for_passphrase(self, failure: Failure) -> Failure:
        """Return the failure of this login, with a question if a locked key could have served.

        Raises OSError with one of EXHAUSTION_ERRNOS.
        """
        return await self._loader.ask(failure, self.record.problems)

    def with_dependencies(self, failure: Failure) -> Failure:
        """Return the failure of this login with what it depended on."""
        blobs = [i.public.blob for i in self._order if i.public and i.public.is_certificate]
        return replace(
            failure,
            files=self.host.login_files,
            agent=self._agent.keys,
            certificate_validity=next_validity(blobs, self.wall_time()),
        )

    async def _ordered_offers(self, server: ServerSignatures) -> AsyncIterator[Offer]:
        await self.read_files()
        certificates, files = self._configured or ([], [])
        only = self.host.identities_only
        agent = await self._agent.identities(AGENT_TIMEOUT if self._has_key_file() else None)
        self._order = order_identities(certificates, files, agent or (), identities_only=only)
        async for offer in self._offers_of(self._order, server):
            yield offer
        if agent is None:
            late = await self._agent.identities(None) or ()
            self._order = order_identities(certificates, files, late, identities_only=only)
            by_agent = [i for i in self._order if find_signer(i, self._order).in_agent]
            async for offer in self._offers_of(by_agent, server):
                yield offer

    async def _offers_of(
        self, identities: Iterable[Identity], server: ServerSignatures
    ) -> AsyncIterator[Offer]:
        """Yield the offers of identities, without keys that the server has refused already."""
        for identity in identities:
            public = identity.public or await self._derived_public_key(identity.name)
            if public is None or public.blob in self._refused:
                continue
            algorithm = self._choose_algorithm(identity, public, server)
            if algorithm is not None:
                self._record_offer(identity)
                self._refused.add(public.blob)  # until the server asks for a signature
                signer = self._signer(identity, public.blob, algorithm, server)
                yield Offer(algorithm.encode(), public.blob, signer)

    def _record_offer(self, identity: Identity) -> None:
        self.record.offered.append(str(identity))
        if not self.record.offered_file and identity.name in self.host.identity_files:
            self.record.offered_file = identity.name

    def _has_key_file(self) -> bool:
        return any(not isinstance(file.private, KeyProblem) for file in self._files.values())

    async def _configured_identities(self) -> tuple[list[Identity], list[Identity]]:
        """Return the certificates of certificate_files, and the identities of identity_files.

        As in ssh, the certificate beside a key is looked for only without certificate_files.
        """
        named, paths = self.host.certificate_files, self.host.identity_files
        read = await asyncio.gather(*map(self.keys.read_certificate, named))
        certificates = [
            Identity(path, public)
            for path, public in zip(named, read, strict=True)
            if public is not None
        ]
        self._files = dict(
            zip(paths, await asyncio.gather(*map(self.keys.read, paths)), strict=True)
        )
        files = []
        for path, file in self._files.items():
            files.append(Identity(path, file.public))
            if file.certificate is not None and not named:
                files.append(Identity(path, file.certificate))
        return certificates, files

    async def _derived_public_key(self, path: str) -> public_keys.PublicKey | None:
        """Return the public key of a private key that must be read to know it, such as PEM.

        Raises OSError with one of EXHAUSTION_ERRNOS.
        """
        loaded = await self._loader.load(path)
        if isinstance(loaded, KeyProblem):
            self.record.problems.append(loaded)
            return None
        return public_keys.decode(loaded.public_data)

    def _choose_algorithm(
        self, identity: Identity, public: public_keys.PublicKey, server: ServerSignatures
    ) -> str | None:
        """Return the algorithm to offer a key with. Record a problem if there is none."""
        algorithm = algorithms.offered_algorithm(self.host, public.key_type, server)
        bits, required = rsa_bits(public.blob), self.host.required_rsa_size
        if bits is not None and bits < required:
            message = f"it has {bits} bits, and RequiredRSASize asks for {required}"
        elif algorithm is not None:
            return algorithm
        elif algorithms.is_key_type_accepted(self.host, public.key_type):
            message = f"the server supports no accepted signature algorithm of {public.key_type}"
            if bits is not None:
                message += '; the old SHA-1 needs pubkey_accepted_algorithms = "+ssh-rsa"'
        else:
            message = f"{public.key_type} is not in PubkeyAcceptedAlgorithms"
        name = "agent" if identity.in_agent else identity.name
        self.record.problems.append(KeyProblem(name, Unusable.NOT_ACCEPTED, message))
        return None

    def _signer(
        self, identity: Identity, blob: bytes, offered: str, server: ServerSignatures
    ) -> Callable[[bytes], Awaitable[bytes]]:
        """Return the function that signs for an identity that the server accepts."""
        algorithm = algorithms.signature_algorithm(offered, server)

        async def sign(data: bytes) -> bytes:
            self._refused.discard(blob)
            self.record.accepted.append(str(identity))
            signer = find_signer(identity, self._order)
            if signer.in_agent:
                signature = await self._sign_by_agent(signer, algorithm, data)
            else:
                signature = await self._sign_by_file(signer, identity, algorithm, data)
            self.record.signed.append(str(identity))
            return signature

        return sign

    async def _sign_by_agent(self, signer: Identity, algorithm: str, data: bytes) -> bytes:
        try:
            return await self._agent.sign(signer, algorithm, data)
        except (OSError, ValueError, asyncssh.Error) as error:
            message = f"the agent did not sign with it: {error_text(error)}"
            raise self._recorded(KeyProblem(str(signer), Unusable.NO_SIGNATURE, message)) from None

    async def _sign_by_file(
        self, signer: Identity, identity: Identity, algorithm: str, data: bytes
    ) -> bytes:
        try:
            loaded = await self._loader.load(signer.name)
        except OSError as error:
            self._resource_error = error
            raise ValueError(str(error)) from None
        if isinstance(loaded, KeyProblem):
            if loaded.kind is Unusable.MISSING:
                message = "the server accepts it, but its private key is missing"
                loaded = replace(loaded, kind=Unusable.NO_SIGNATURE, message=message)
            raise self._recorded(loaded)
        if identity.public is not None and loaded.public_data != identity.public.key:
            message = f"it is not the private key of the public key offered for {identity.name}"
            raise self._recorded(KeyProblem(signer.name, Unusable.NO_SIGNATURE, message))
        await self._loader.add_to_agent(signer.name, loaded)
        try:
            if not loaded.use_executor:
                return loaded.sign(data, algorithm.encode())
            request = f"the security key of {signer.name} to sign"
            with self.user_wait.during(request, Action.TOUCH):
                return await asyncio.to_thread(loaded.sign, data, algorithm.encode())
        except ValueError as error:
            remedy = f"let the agent sign: ssh-add {signer.name}"
            message = f"it did not sign: {printable(str(error))}"
            problem = KeyProblem(signer.name, Unusable.NO_SIGNATURE, message, remedy)
            raise self._recorded(problem) from None

    def _recorded(self, problem: KeyProblem) -> ValueError:
        """Record a problem; return the exception that makes asyncssh ask for the next key."""
        self.record.problems.append(problem)
        return ValueError(str(problem))
