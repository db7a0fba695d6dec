"""The question whether to accept an unknown host key (StrictHostKeyChecking ask).

It is asked with no connection open. The key that is accepted is the one that the question shows;
a login that meets another key asks again.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Protocol

import asyncssh

from tunnelkeeper.core.failures import Cause, Failure
from tunnelkeeper.core.questions import HostKeyDetails, Kind, Prompt, Subject
from tunnelkeeper.core.random_art import key_title, random_art
from tunnelkeeper.core.text import printable
from tunnelkeeper.net.error_text import os_error_text
from tunnelkeeper.ssh.auth.host_key_failures import CLOCK_HINT
from tunnelkeeper.ssh.auth.key_blobs import rsa_bits
from tunnelkeeper.ssh.auth.known_hosts import HASH_MAGIC, KnownHosts, fingerprint

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from tunnelkeeper.core.secret import Secret
    from tunnelkeeper.questions.board import QuestionBoard
    from tunnelkeeper.ssh.auth.host_key_verifier import HostKeyVerifier
    from tunnelkeeper.ssh.auth.known_hosts import HostKeyLine

PROMPT = Prompt("Accept this key? (yes/no/fingerprint) ", echo=True)

MAX_OTHER_NAMES = 8
"""Other names of a key that are shown, as by ssh (check_host_key() in sshconnect.c)."""

NAME_LIMIT = 120
"""Characters of one of them."""

_KEY_KINDS = {
    "ssh-ed25519": ("ED25519", 256),
    "ssh-ed448": ("ED448", 448),
    "sk-ssh-ed25519@openssh.com": ("ED25519-SK", 256),
    "sk-ecdsa-sha2-nistp256@openssh.com": ("ECDSA-SK", 256),
    "ecdsa-sha2-nistp256": ("ECDSA", 256),
    "ecdsa-sha2-nistp384": ("ECDSA", 384),
    "ecdsa-sha2-nistp521": ("ECDSA", 521),
}
"""The name and size in bits of each type of key, as ssh-keygen prints them."""


class Asker(Protocol):
    """The attempt that asks. tunnel: the name of its tunnel."""

    @property
    def tunnel(self) -> str:
        """The name of the tunnel."""

    def info(self, text: str) -> None:
        """Log an event that needs no action."""

    def warn(self, text: str) -> None:
        """Log a problem that the user should fix."""


async def ask_about_key(
    verifier: HostKeyVerifier, board: QuestionBoard, hop: str, progress: Asker
) -> Failure:
    """Ask whether to accept the verifier's unknown key. Return the failure of the attempt.

    hop: as failures name it.
    """
    key = verifier.unknown_key
    assert key is not None  # noqa: S101  the verifier refused the attempt because of it
    details = await host_key_details(verifier, key)
    text = f"{hop}: no host key is known for {verifier.failures.pattern}"
    if verifier.certificate_problem:
        text += f"; its certificate is not accepted: {verifier.certificate_problem}"
    check = _check_for(verifier, details.fingerprint, progress)
    question = board.post(
        Subject(Kind.HOST_KEY, hop),
        text,
        (PROMPT,),
        check,
        tunnel=progress.tunnel,
        host_key=details,
    )
    return answer_needed(verifier, _message(text, hop, details), hop, question)


def join_question(verifier: HostKeyVerifier, board: QuestionBoard, hop: str) -> Failure | None:
    """Return the failure of a login that would meet an open question, before it connects.

    Many tunnels to an unknown server would otherwise connect, and leave without a login; a server
    with PerSourcePenalties refuses their address then. A tunnel that waits for the answer already
    connects: something has changed.
    """
    known = verifier.known_keys
    is_unknown = not (known.host_keys or known.host_keys_without_port or verifier.has_ca_keys)
    if not (verifier.may_ask and is_unknown):
        return None
    question = board.join(Subject(Kind.HOST_KEY, hop), verifier.tunnel, verifier.searched_files)
    if question is None:
        return None
    message = _message(question.text, hop, question.host_key)
    return answer_needed(verifier, message, hop, question.id)


def answer_needed(verifier: HostKeyVerifier, message: str, hop: str, question: str) -> Failure:
    """Return the failure of a login that waits for the answer to a question."""
    hint = verifier.failures.trust_command
    if verifier.certificate_validity is not None:
        hint = f"{CLOCK_HINT}; otherwise {hint}"
    return Failure(
        Cause.ANSWER_NEEDED,
        message,
        hop,
        hint,
        verifier.host.host_key_files,
        certificate_validity=verifier.certificate_validity,
        question=question,
    )


def _message(text: str, hop: str, key: HostKeyDetails | None) -> str:
    """Return the message of the failure: the text of the question, and the key of the server."""
    message = text.removeprefix(f"{hop}: ")
    return message if key is None else f"{message}; the server shows {key}"


async def host_key_details(verifier: HostKeyVerifier, key: asyncssh.SSHKey) -> HostKeyDetails:
    """Return what a person should know about an unknown key."""
    files, blob = verifier.searched_files, key.public_data
    try:
        known, _, _ = await verifier.files.run_in_thread(files, lambda: verifier.files.read(files))
    except OSError:  # they could be read a moment ago; the names are only a help
        known = KnownHosts()
    same = [line for line in known.lines if line.blob == blob and line.marker is None]
    algorithm = key.algorithm.decode("ascii")
    return HostKeyDetails(
        algorithm, fingerprint(blob), art_of(blob, algorithm), files, _other_names(same)
    )


def art_of(blob: bytes, algorithm: str) -> str:
    """Return the random art of a public key, as ssh-keygen prints it."""
    kind, bits = _KEY_KINDS.get(algorithm, (algorithm.upper(), 0))
    if (size := rsa_bits(blob)) is not None:
        kind, bits = "RSA", size
    return random_art(hashlib.sha256(blob).digest(), key_title(kind, bits))


def _other_names(lines: Sequence[HostKeyLine]) -> tuple[str, ...]:
    """Return where a key is known under another name: `FILE:LINE: NAMES`, at most a few."""
    names = []
    for line in lines[:MAX_OTHER_NAMES]:
        is_hashed = line.patterns[0].startswith(HASH_MAGIC)
        name = "a hashed name" if is_hashed else ",".join(line.patterns)
        names.append(printable(f"{line.path}:{line.number}: {name}", NAME_LIMIT))
    if len(lines) > MAX_OTHER_NAMES:
        names.append(f"and {len(lines) - MAX_OTHER_NAMES} more")
    return tuple(names)


def _check_for(
    verifier: HostKeyVerifier, expected: str, progress: Asker
) -> Callable[[Sequence[Secret]], Awaitable[str]]:
    """Return the function that saves the key if the answer accepts it."""

    async def check(answers: Sequence[Secret]) -> str:
        answer = answers[0].reveal_text().strip()
        match answer.lower():
            case "no" | "":
                return "the key is not accepted"
            case "yes":
                pass
            case _ if answer != expected:
                return "this is not the fingerprint of the key; type yes, no or the fingerprint"
        try:
            for message in await verifier.save_unknown_key():
                progress.info(message)
        except asyncssh.HostKeyNotVerifiable:
            failure, verifier.failure = verifier.failure, None
            assert failure is not None  # noqa: S101  it says why the key is not saved
            return ": ".join(filter(None, (failure.message, failure.hint)))  # one line
        except OSError as error:
            progress.warn(
                f"the host key of {verifier.failures.pattern} could not be saved, and is accepted "
                f"until this program ends: {os_error_text(error)}"
            )
        return ""

    return check
