"""Why an attempt to connect to a host failed, described by the part that knows most about it."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Protocol

import asyncssh

from tunnelkeeper.core import greetings
from tunnelkeeper.core.failures import Cause, Failure
from tunnelkeeper.core.login_methods import PUBLICKEY
from tunnelkeeper.ssh.auth.host_key_question import ask_about_key
from tunnelkeeper.ssh.auth.login_failure import ServerReplies, ssh_options, with_offers
from tunnelkeeper.ssh.auth.unanswered import (
    rested,
    unanswered_failure,
    with_alternatives,
    with_key_advice,
)
from tunnelkeeper.ssh.errors import to_failure

if TYPE_CHECKING:
    from tunnelkeeper.core.configuration import Host
    from tunnelkeeper.core.snapshot import Step
    from tunnelkeeper.ssh.auth.host_key_policy import HostKeyPolicy
    from tunnelkeeper.ssh.auth.host_key_verifier import HostKeyVerifier
    from tunnelkeeper.ssh.auth.identities import Identities
    from tunnelkeeper.ssh.auth.login_answers import LoginAnswers
    from tunnelkeeper.ssh.connection import Connection
    from tunnelkeeper.ssh.context import ProgressListener, SshContext
    from tunnelkeeper.ssh.proxy_command import ProxyCommand
    from tunnelkeeper.ssh.transport import ClientTransport


class FailedAttempt(Protocol):
    """What an attempt knows about its failure; see ssh.connect.ConnectAttempt."""

    host: Host
    jump: Connection | None
    context: SshContext
    progress: ProgressListener
    transport: ClientTransport | None
    proxy_command: ProxyCommand | None
    verifier: HostKeyVerifier
    policy: HostKeyPolicy
    identities: Identities
    step: Step
    answers: LoginAnswers
    login_timeout: float

    @property
    def hop(self) -> str:
        """The host and port as failures name them."""

    @property
    def banner(self) -> str:
        """The server's banner as the end of a message, or an empty string."""


async def failure_of(attempt: FailedAttempt, error: Exception) -> Failure:
    """Return the failure, explained by what the server sent if it did not speak SSH."""
    try:
        failure = _with_source_problems(await _described(attempt, error), attempt)
    except OSError as exhausted:  # this machine is out of resources
        failure = to_failure(exhausted, attempt.hop, attempt.step)
    if attempt.transport is None:
        return failure
    return greetings.explain(failure, attempt.transport.greeting)


def _with_source_problems(failure: Failure, attempt: FailedAttempt) -> Failure:
    """Return the failure of a login without an answer, with why stored answers were not found."""
    if not failure.question or attempt.step != "login":
        return failure
    problems = attempt.context.answers.problems(attempt.host, attempt.answers.key)
    new = [problem for problem in problems if problem not in failure.message]
    message = "; ".join([failure.message, *new])
    return replace(failure, message=message, source_failed=bool(problems))


async def _described(attempt: FailedAttempt, error: Exception) -> Failure:
    if attempt.step != "login":
        return await _failure(attempt, error)
    failure = unanswered_failure(attempt.answers, error, attempt.login_timeout)
    if failure is None:
        return rested(await _failure(attempt, error), attempt.answers)
    replies = attempt.transport.login_replies if attempt.transport is not None else ServerReplies()
    if PUBLICKEY not in replies.methods or replies.is_partial:
        return failure
    if attempt.identities.record.had_no_key:
        return attempt.identities.with_dependencies(failure)
    refused = attempt.identities.login_failure(replies, _ssh_options(attempt))
    return attempt.identities.with_dependencies(with_key_advice(failure, refused))


def _ssh_options(attempt: FailedAttempt) -> list[str]:
    return ssh_options(attempt.host, attempt.jump.hosts if attempt.jump is not None else ())


async def _failure(attempt: FailedAttempt, error: Exception) -> Failure:
    match error:
        case _ if attempt.step == "login" and attempt.identities.user_wait.is_slow:
            return attempt.identities.absent_user_failure()
        case TimeoutError(errno=None):
            return _timeout_failure(attempt)
        case asyncssh.HostKeyNotVerifiable() if attempt.verifier.unknown_key is not None:
            board = attempt.context.questions
            return await ask_about_key(attempt.verifier, board, attempt.hop, attempt.progress)
        case asyncssh.HostKeyNotVerifiable():
            refused = attempt.policy.failure or attempt.verifier.failure
            return refused or attempt.verifier.failures.malformed(str(error))
        case asyncssh.PermissionDenied() if attempt.transport is not None:
            replies = attempt.transport.login_replies
            failure = attempt.identities.login_failure(replies, _ssh_options(attempt))
            failure = with_alternatives(failure, attempt.answers)
            return await attempt.identities.ask_for_passphrase(failure)
    if attempt.proxy_command is not None and attempt.step == "key_exchange":
        hint = "run the proxy command by hand to see its error message"
        message = await attempt.proxy_command.describe_exit()
        return Failure(Cause.PROXY, message, attempt.hop, hint)
    failure = to_failure(error, attempt.hop, attempt.step)
    if attempt.step == "login" and failure.cause is Cause.AUTH:
        attempt.answers.refused()  # sshd ends the login in place of a reply (MaxAuthTries)
        failure = with_offers(failure, attempt.identities.record)
        failure = attempt.identities.with_dependencies(failure)
        return await attempt.identities.ask_for_passphrase(failure)
    return failure


def _timeout_failure(attempt: FailedAttempt) -> Failure:
    """Return the failure of a timeout, which depends on the step."""
    seconds = f"{attempt.host.connect_timeout:g} s"
    hint = "check the network and firewalls on the way, or raise connect_timeout"
    match attempt.step:
        case "resolve":
            cause, doing = Cause.DNS, "the name was not resolved"
            hint = "check the DNS of this machine, or raise connect_timeout"
        case "connect":
            cause, doing = Cause.UNREACHABLE, "no connection"
        case "login":
            message = f"the server has not finished the login within {attempt.login_timeout:g} s"
            hint = (
                "what does it wait for? The server's log shows it: a name lookup (UseDNS no), "
                "an AuthorizedKeysCommand, a PAM module, an approval"
            )
            return Failure(Cause.TIMEOUT, f"{message}{attempt.banner}", attempt.hop, hint)
        case _:
            cause, doing = Cause.TIMEOUT, "connected, but no SSH key exchange"
    return Failure(cause, f"{doing} within {seconds}", attempt.hop, hint)
