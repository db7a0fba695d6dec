"""Why a login that needed a person's answer failed. It does no I/O."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from tunnelkeeper.core.failures import Cause, Failure

if TYPE_CHECKING:
    from tunnelkeeper.ssh.auth.login_answers import LoginAnswers

_ENDLESS_HINT = "log in with ssh to see what the server asks; its PAM modules may be misconfigured"


def unanswered_failure(
    answers: LoginAnswers, error: Exception, login_timeout: float
) -> Failure | None:
    """Return the failure of a login that ended without the answer of a person, or None.

    error: what ended it. login_timeout: seconds that the login had.
    """
    if answers.abandoned:
        return Failure(Cause.AUTH, answers.abandoned, str(answers.host), _ENDLESS_HINT)
    if answers.unanswered is not None:
        text = f"the login asks for {answers.asked_for}, and {answers.unanswered}"
        if answers.problem:
            text += f": {answers.problem}"
        return _failure(answers, text, answers.unanswered.question_id)
    question = answers.dialog.question_id
    if question is None:
        return None
    if answers.is_asking and isinstance(error, TimeoutError):
        text = f"the login asks for {answers.asked_for}; no answer came within {login_timeout:g} s"
        return _failure(answers, text, question)
    if answers.is_asking:
        text = (
            f"the login asks for {answers.asked_for}; the connection was closed while it waited "
            "for the answer (LoginGraceTime of the server?)"
        )
        return _failure(answers, text, question)
    return None


def with_alternatives(failure: Failure, answers: LoginAnswers) -> Failure:
    """Return the failure of a login in which a person was not asked, with what that would do."""
    command = answers.unlock_command.replace(" unlock ", " restart ", 1)  # no question rests
    if answers.is_forbidden:
        message = f"{failure.message}; the server asks for {answers.asked_for}, and BatchMode"
        hint = f"turn BatchMode off, then: `{command}`" if command else "turn BatchMode off"
        return replace(failure, message=f"{message} allows no questions", hint=hint)
    if answers.could_ask and command:
        return replace(
            failure, hint=f"{failure.hint}. Or log in by {answers.asked_for}: `{command}`"
        )
    return failure


def with_key_advice(failure: Failure, refused: Failure) -> Failure:
    """Return the failure of a login without an answer, with why no key has logged in before.

    refused: the failure of a login by key alone.
    """
    _, _, keys = refused.message.partition("; ")
    message = f"{failure.message}; {keys}" if keys else failure.message
    hint = ", or ".join(filter(None, (failure.hint, refused.hint)))
    return replace(failure, message=message, hint=hint)


def rested(failure: Failure, answers: LoginAnswers) -> Failure:
    """Return the failure of a login that a person has answered, so that it is not repeated.

    Its next attempt would ask again.
    """
    question = answers.dialog.question_id
    if question is None or failure.question or not answers.has_asked:
        return failure
    message = failure.message
    if answers.refusals:
        times = "time" if answers.refusals == 1 else "times"
        message = f"the answer was refused {answers.refusals} {times}; {message}"
    return replace(
        failure,
        cause=Cause.ANSWER_NEEDED,
        message=message,
        hint=answers.unlock_command,
        question=question,
    )


def _failure(answers: LoginAnswers, message: str, question: str) -> Failure:
    hint = answers.unlock_command
    return Failure(Cause.ANSWER_NEEDED, message, str(answers.host), hint, question=question)
