"""UpdateHostKeys on a live connection: further keys of a known host, after proof of possession.

A failure here is only logged: it never ends the connection.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import asyncssh
from asyncssh.packet import PacketDecodeError
from asyncssh.public_key import KeyImportError, decode_ssh_public_key

from tunnelkeeper.core.questions import Kind, Prompt, Subject
from tunnelkeeper.net.error_text import os_error_text
from tunnelkeeper.ssh.auth.host_key_update import (
    HostKeyChange,
    KeepsFilesError,
    KnownName,
    Plan,
    make_plan,
)
from tunnelkeeper.ssh.auth.known_hosts import fingerprint, host_pattern
from tunnelkeeper.ssh.errors import describe

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tunnelkeeper.core.secret import Secret
    from tunnelkeeper.questions.board import QuestionBoard
    from tunnelkeeper.ssh.auth.host_key_policy import HostKeyPolicy
    from tunnelkeeper.ssh.auth.host_key_verifier import HostKeyVerifier
    from tunnelkeeper.ssh.context import ProgressListener
    from tunnelkeeper.ssh.host_keys_requests import HostKeysMixin

PROMPT = Prompt("Accept updated host keys? (yes/no) ", echo=True)


@dataclass(slots=True)
class HostKeyUpdater:
    """Learns and forgets keys of one server, as UpdateHostKeys of ssh_config says.

    hop: the server as questions name it.
    """

    verifier: HostKeyVerifier
    policy: HostKeyPolicy
    connection: HostKeysMixin
    progress: ProgressListener
    board: QuestionBoard
    hop: str

    async def update(self, blobs: list[bytes]) -> None:
        """Handle the server's list of keys. Every problem is logged."""
        try:
            await self._update(blobs)
        except KeepsFilesError as reason:
            self._debug(str(reason))
        except OSError as error:
            self._debug(os_error_text(error))
        except (asyncssh.Error, PacketDecodeError, ValueError) as error:
            self._debug(f"the server gives no valid proof: {describe(error)}")

    async def _update(self, blobs: list[bytes]) -> None:
        verifier = self.verifier
        if reason := obstacle(verifier):
            raise KeepsFilesError(reason)
        keys = self._usable_keys(blobs)
        if not keys:
            raise KeepsFilesError("the server lists no key that is accepted here")
        paths, files = verifier.host.user_known_hosts, verifier.files
        known, _, _ = await files.run_in_thread(paths, lambda: files.read(paths))
        name = known_name(verifier)
        plan = make_plan(known.lines, name, [key.public_data for key in keys])
        if plan.is_empty:
            return
        must_ask = verifier.host.update_host_keys == "ask"
        if must_ask and (verifier.host.batch_mode or not self.board.attending({verifier.tunnel})):
            raise KeepsFilesError("update_host_keys is ask, and no person is present")
        await self._verify_possession([key for key in keys if key.public_data in plan.new])
        change = HostKeyChange(
            paths,
            name,
            tuple((key.algorithm.decode("ascii"), key.public_data) for key in keys),
            frozenset(plan.new),
            verifier.host.hash_known_hosts,
        )
        if must_ask:
            await self._ask(change, "; ".join(_messages(plan, keys, verifier.failures.pattern)))
        else:
            await self._apply(change, keys)

    async def _apply(self, change: HostKeyChange, keys: Sequence[asyncssh.SSHKey]) -> None:
        verifier = self.verifier
        done = await verifier.files.run_in_thread(verifier.searched_files, change.apply)
        for message in _messages(done, keys, verifier.failures.pattern):
            self.progress.info(message)

    async def _ask(self, change: HostKeyChange, what: str) -> None:
        """Ask whether to change the files, until the connection ends. No tunnel waits for it."""
        connection: Any = self.connection
        subject = Subject(Kind.HOST_KEY, self.hop)
        keys = [decode_ssh_public_key(blob) for _, blob in change.keys]

        async def check(answers: Sequence[Secret]) -> str:
            answer = answers[0].reveal_text().strip().lower()
            if answer not in {"yes", "no"}:
                return "type yes or no"
            if answer == "yes":
                try:
                    await self._apply(change, keys)
                except KeepsFilesError as reason:
                    return str(reason)
                except OSError as error:
                    return os_error_text(error)
            return ""

        text = f"{self.hop}: the server has other host keys now: {what}"
        question = self.board.post(subject, text, (PROMPT,), check)
        try:
            await connection.wait_closed()
        finally:
            if any(each.id == question and not each.tunnels for each in self.board.questions):
                self.board.withdraw(subject)

    def _usable_keys(self, blobs: list[bytes]) -> list[asyncssh.SSHKey]:
        """Return the keys that could be accepted from this server. Certificates are none.

        Raises KeepsFilesError if the server lists a key twice.
        """
        connection: Any = self.connection
        offered = connection._server_host_key_algs or ()  # noqa: SLF001
        keys: list[asyncssh.SSHKey] = []
        for blob in blobs:
            try:
                key = decode_ssh_public_key(blob)
                self.policy.check_host_key(blob)
            except (KeyImportError, asyncssh.HostKeyNotVerifiable):
                continue
            if not set(key.sig_algorithms) & set(offered):
                continue
            if any(key.public_data == other.public_data for other in keys):
                raise KeepsFilesError("the server lists a key twice")
            keys.append(key)
        self.policy.failure = None
        return keys

    async def _verify_possession(self, keys: Sequence[asyncssh.SSHKey]) -> None:
        """Let the server prove that it owns the keys. Raises KeepsFilesError."""
        if not keys:
            return
        signatures = await self.connection.prove_host_keys([key.public_data for key in keys])
        if len(signatures) != len(keys):
            raise KeepsFilesError("the server does not prove that it owns its new keys")
        for key, signature in zip(keys, signatures, strict=True):
            if not self.connection.is_proof(key, signature):
                raise KeepsFilesError(f"no proof for {fingerprint(key.public_data)}")

    def _debug(self, reason: str) -> None:
        pattern = self.verifier.failures.pattern
        self.progress.debug(f"the known host keys of {pattern} stay as they are: {reason}")


def _messages(plan: Plan, keys: Sequence[asyncssh.SSHKey], pattern: str) -> list[str]:
    """Return what a plan changes, a message for each key."""
    learned = [
        f"learned a further host key of {pattern}: {key.algorithm.decode('ascii')} "
        f"{fingerprint(key.public_data)}"
        for key in keys
        if key.public_data in plan.new
    ]
    return learned + [
        f"removed a host key of {pattern} that the server no longer has: {line.algorithm} "
        f"{fingerprint(line.blob)}"
        for line in plan.old
    ]


def known_name(verifier: HostKeyVerifier) -> KnownName:
    """Return the names under which the files have a server, as get_hostfile_hostname_ipaddr()."""
    address = None
    if verifier.address_keys is not None:
        address = host_pattern(verifier.address, verifier.port, None)
    return KnownName(verifier.failures.pattern, address)


def obstacle(verifier: HostKeyVerifier) -> str:
    """Return why the keys of a server are not updated at all, or an empty string.

    The conditions are those of check_host_key() in ssh's sshconnect.c.
    """
    line, users = verifier.trusted_line, verifier.host.user_known_hosts
    if line is None:
        return "its key was not known by a line of its name, or it has a certificate"
    lines = (line, *([verifier.trusted_address_line] if verifier.trusted_address_line else []))
    for each in lines:
        if each.path not in users or each.path in verifier.host.system_known_hosts:
            return f"its key is known from {each.path}, which is not the user's"
    return ""
