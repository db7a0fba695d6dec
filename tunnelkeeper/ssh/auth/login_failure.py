"""Why a login was refused, and what to do about it. It does no I/O."""

from __future__ import annotations

import shlex
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from tunnelkeeper.core.failures import Cause, Failure
from tunnelkeeper.core.login_methods import allowed_methods
from tunnelkeeper.core.text import printable
from tunnelkeeper.ssh.auth.private_keys import KeyProblem, Unusable

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tunnelkeeper.core.configuration import Host

PASSWORD_METHODS = frozenset({"password", "keyboard-interactive"})
"""Methods that let ssh-copy-id log in."""

SETTINGS = {
    "password": "PasswordAuthentication",
    "keyboard-interactive": "KbdInteractiveAuthentication",
}
"""The settings of ssh_config(5) that allow these methods."""


@dataclass(slots=True)
class ServerReplies:
    """What a server answered to the requests of a login (RFC 4252 section 5.1).

    Attributes:
        methods: The methods that it named as those that can continue, in its last reply.
        is_partial: Whether it has accepted a method, but requires another one in addition.
    """

    methods: tuple[str, ...] = ()
    is_partial: bool = False


@dataclass(slots=True)
class LoginRecord:
    """What one login did with its keys.

    Attributes:
        offered: The keys that were offered, as messages name them.
        accepted: Those that the server accepted, so that a signature was needed.
        signed: Those that signed.
        offered_file: The first of them that a file names, or empty.
        problems: The keys that could not be used.
        agent: The state of the agent, or empty if it was not asked.
        agent_problem: Why the agent cannot be used, or empty.
    """

    offered: list[str] = field(default_factory=list)
    accepted: list[str] = field(default_factory=list)
    signed: list[str] = field(default_factory=list)
    offered_file: str = ""
    problems: list[KeyProblem] = field(default_factory=list)
    agent: str = ""
    agent_problem: str = ""

    @property
    def is_empty(self) -> bool:
        """Whether the server asked for no key."""
        return not (self.offered or self.problems or self.agent or self.agent_problem)

    @property
    def had_no_key(self) -> bool:
        """Whether the user seems to have no key: each of several files is missing."""
        if self.offered or self.reportable_problems or self.agent_problem:
            return False
        return len(self.missing_files) != 1  # a single one was named by the user

    @property
    def missing_files(self) -> list[str]:
        """The identity files that do not exist."""
        return [p.path for p in self.problems if p.kind is Unusable.MISSING]

    @property
    def reportable_problems(self) -> list[KeyProblem]:
        """The problems besides missing files: ssh has several default files, few users have all."""
        return [p for p in self.problems if p.kind is not Unusable.MISSING]


def waits_for_passphrase(record: LoginRecord, replies: ServerReplies) -> bool:
    """Return whether an encrypted key could log in. Its passphrase is asked for first."""
    is_locked = any(p.kind is Unusable.ENCRYPTED for p in record.problems)
    return is_locked and (_takes_keys(replies) or not replies.is_partial)


def needs_answer(host: Host, record: LoginRecord, replies: ServerReplies) -> bool:
    """Return whether a login cannot succeed without a person's answer, as far as is known.

    If the server has refused keys, an administrator may still add one, so the tunnel retries.
    """
    takes_keys = _takes_keys(replies) and host.pubkey_authentication
    return replies.is_partial or not takes_keys or not record.offered


def login_failure(
    host: Host, record: LoginRecord, replies: ServerReplies, ssh_options: Sequence[str] = ()
) -> Failure:
    """Return the failure of a login that the server refused.

    ssh_options: the options with which ssh reaches the host, such as `ProxyJump=bastion`.
    """
    files = (*host.identity_files, *host.certificate_files)
    encrypted = [p for p in record.problems if p.kind is Unusable.ENCRYPTED]
    if waits_for_passphrase(record, replies):
        message = "; ".join(f"the private key {problem}" for problem in encrypted)
        paths = {problem.path for problem in encrypted}
        if refused := [each for each in record.offered if each not in paths]:
            message += f"; refused: {', '.join(refused)}"
        return Failure(Cause.ANSWER_NEEDED, message, str(host), encrypted[0].remedy, files)
    message = f"login as {host.user} refused{_message(record, replies)}"
    hint = _hint(host, record, replies, ssh_options)
    return Failure(Cause.AUTH, message, str(host), hint, files)


def with_offers(failure: Failure, record: LoginRecord) -> Failure:
    """Return the failure of a login that the server ended, with the keys that it had seen."""
    if not record.offered:
        return failure
    message = f"{failure.message}; offered {', '.join(record.offered)}"
    hint = (
        "name the right key in identity_files and set identities_only = true: the server allows "
        f"fewer than the {len(record.offered)} offered keys (MaxAuthTries)"
    )
    return replace(failure, message=message, hint=hint)


def _message(record: LoginRecord, replies: ServerReplies) -> str:
    methods = _names(replies)
    if replies.is_partial:
        key = record.signed[-1] if record.signed else "the login so far"
        return f": the server accepted {key}, but requires {methods or 'more'} in addition"
    if record.signed:
        parts = [f" although the server accepted {record.signed[-1]}"]
    elif record.offered:
        parts = [f"; offered {', '.join(record.offered)}"]
    elif record.is_empty:
        parts = ["; no key was offered"]
    else:
        parts = ["; no key could be offered"]
        if record.missing_files:
            parts.append(f"no such file: {', '.join(record.missing_files)}")
        if record.agent and not record.agent_problem:
            parts.append(record.agent)
    if record.agent_problem:
        parts.append(f"agent: {record.agent_problem}")
    if record.reportable_problems:
        parts.append(f"not used: {'; '.join(str(p) for p in record.reportable_problems)}")
    if methods:
        parts.append(f"the server still accepts {methods}")
    return "; ".join(parts)


def _hint(
    host: Host, record: LoginRecord, replies: ServerReplies, ssh_options: Sequence[str]
) -> str:
    methods = _names(replies)
    if replies.is_partial and _takes_keys(replies):
        return "the server requires several keys: add the other one to identity_files"
    if replies.is_partial:
        return _hint_without_keys(host, replies)
    for problem in record.reportable_problems:
        if problem.remedy:
            return problem.remedy
    if methods and not _takes_keys(replies):
        return f"the server takes no keys, only {methods}. {_hint_without_keys(host, replies)}"
    if record.signed:
        return (
            "the account may be expired, locked or not allowed to log in: the server's log has "
            "the reason"
        )
    command = ssh_copy_id(host, _key_to_copy(host, record), ssh_options)
    needs_other_way = bool(methods) and PASSWORD_METHODS.isdisjoint(replies.methods)
    return _hint_to_authorize(record, command, needs_other_way)


def _hint_to_authorize(record: LoginRecord, command: str, needs_other_way: bool) -> str:
    """Return how to let the server accept a key.

    command: ssh-copy-id. needs_other_way: whether it cannot log in with a password.
    """
    if not (record.offered or record.missing_files or needs_other_way):
        return command
    steps = f"let the server accept the key of this user: `{command}`"
    if record.offered:
        steps += ", or set the right user and identity_files"
    elif record.missing_files:
        steps = f"create a key: `{_ssh_keygen(record.missing_files)}`; then {steps}"
    if needs_other_way:
        steps += ". This server takes no passwords: run it where you can already log in"
    return steps


def _hint_without_keys(host: Host, replies: ServerReplies) -> str:
    """Return the advice for a server that wants none of the keys, or something in addition."""
    allowed = allowed_methods(host)
    if any(method in allowed for method in replies.methods):
        return "these methods ask for a password or a code: see the settings of this host"
    forbidden = [method for method in replies.methods if method in PASSWORD_METHODS]
    if forbidden:
        names = ", ".join(SETTINGS[method] for method in forbidden)
        return f"the settings of this host forbid what it wants: allow {names}"
    return (
        "tunnelkeeper supports publickey, keyboard-interactive and password: allow one of them "
        f"in the server's sshd_config, below `Match User {printable(host.user)}`"
    )


def ssh_copy_id(host: Host, key: str, ssh_options: Sequence[str] = ()) -> str:
    """Return the command that authorizes a key on a host; without a key, ssh's default key."""
    words = ["ssh-copy-id", *(["-i", key] if key else []), "-p", str(host.ports[0])]
    words += [word for option in ssh_options for word in ("-o", option)]
    return shlex.join([*words, f"{host.user}@{host.hostname}"])


def ssh_options(host: Host, jumps: Sequence[Host]) -> list[str]:
    """Return the options with which ssh takes the same way to a host.

    The text of a proxy command may have the password of a proxy, so its place is marked only.
    """
    if jumps:
        return [f"ProxyJump={','.join(map(str, jumps))}"]
    return [] if host.proxy_command is None else ["ProxyCommand=PROXY_COMMAND"]


def _key_to_copy(host: Host, record: LoginRecord) -> str:
    """Return the key file to authorize; empty if it is the one that ssh-copy-id chooses."""
    if record.offered:
        return record.offered_file
    missing = record.missing_files
    return "" if not missing or _are_defaults(host.identity_files) else missing[0]


def _ssh_keygen(missing: Sequence[str]) -> str:
    if _are_defaults(missing):
        return "ssh-keygen -t ed25519"
    return shlex.join(["ssh-keygen", "-t", "ed25519", "-f", missing[0]])


def _are_defaults(paths: Sequence[str]) -> bool:
    """Return whether these are ssh's default files, of which there are several."""
    return {"id_rsa", "id_ed25519"} <= {Path(path).name for path in paths}


def _names(replies: ServerReplies) -> str:
    return printable(", ".join(replies.methods))


def _takes_keys(replies: ServerReplies) -> bool:
    return any(method.startswith("publickey") for method in replies.methods)
