"""The board of questions: it connects those who wait for an answer with those who give one.

The decisions are in core.questions. The board adds what needs an event loop: logins that wait,
answers that are tried, and clients that come and go. All calls are made in the loop's thread.
"""

from __future__ import annotations

import secrets
import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from tunnelkeeper.core.questions import (
    LOGIN_KINDS,
    Change,
    Claim,
    Closed,
    HostKeyDetails,
    Kind,
    Outcome,
    Prompt,
    Question,
    QuestionBook,
    QuestionError,
    Subject,
    Verdict,
)
from tunnelkeeper.core.secret import wipe
from tunnelkeeper.net.error_text import os_error_text
from tunnelkeeper.questions.attendance import Attendance
from tunnelkeeper.questions.login_dialog import AnswerNeededError, LoginDialog

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Hashable, Iterable, Iterator, Sequence

    from tunnelkeeper.core.secret import Secret

    Check = Callable[[Sequence[Secret]], Awaitable[str]]
    """Tries the answers to a standing question. Returns why they do not serve, or ""."""

    Listener = Callable[[Change], None]


def _ignore(_tunnel: str) -> None:
    """Do nothing."""


@dataclass(slots=True)
class QuestionBoard:
    """The questions of one process.

    Attributes:
        retry: Called with a tunnel whose next attempt may succeed now: its question is answered,
            or a person is present who will answer.
        now: Returns the monotonic time.
        new_nonce: Returns a nonce that cannot be guessed.
    """

    retry: Callable[[str], None] = _ignore
    now: Callable[[], float] = time.monotonic
    new_nonce: Callable[[], str] = lambda: secrets.token_hex(16)
    _book: QuestionBook = field(default_factory=QuestionBook)
    _listeners: list[Listener] = field(default_factory=list)
    _checks: dict[str, Check] = field(default_factory=dict)
    _dialogs: dict[str, LoginDialog] = field(default_factory=dict)
    _logins: dict[str, LoginDialog] = field(default_factory=dict)
    _attendance: Attendance = field(default_factory=Attendance)
    _keepers: dict[str, set[Hashable]] = field(default_factory=dict)
    _offers: dict[str, str] = field(default_factory=dict)  # the tunnel let log in, until it asks

    # -- for clients -------------------------------------------------------------------------

    def subscribe(self, listener: Listener) -> Callable[[], None]:
        """Call the listener with every change. Return the function that ends that."""
        self._listeners.append(listener)
        return lambda: self._listeners.remove(listener)

    @property
    def questions(self) -> tuple[Question, ...]:
        """The open questions, oldest first."""
        return self._book.questions

    def attend(self, client: Hashable, tunnels: Iterable[str] | None) -> None:
        """Let a person at this client answer the questions of these tunnels; None: of all.

        It ends with `disconnect`. Tunnels that wait for a person try to log in now, one on each
        hop.
        """
        self._attendance.add(client, tunnels)
        for question in self.questions:
            if self._attendance.attends(client, question.tunnels):
                self._start_login(question)

    def claim(self, client: Hashable, question_id: str) -> Claim:
        """Let a client answer a question. If no login waits for the answer, one begins.

        Raises QuestionError.
        """
        nonce = self.new_nonce()
        self._publish(self._book.claim(question_id, client, nonce))
        question = self._book.get(question_id)
        dialog = self._dialogs.get(question_id)
        if dialog is not None:
            dialog.present.add(client)
        self._start_login(question)
        return Claim(self._book.get(question_id), nonce)

    async def answer(
        self, client: Hashable, question_id: str, nonce: str, answers: Sequence[Secret]
    ) -> Verdict:
        """Answer a question. The answers are wiped when they have been used, or are refused.

        Raises QuestionError.
        """
        dialog = self._dialogs.get(question_id)
        try:
            if dialog is not None and not dialog.is_waiting:  # its connection was replaced
                raise QuestionError("no login waits for an answer now")
            question = self._book.take(question_id, client, nonce, answers)
        except QuestionError:
            wipe(answers)
            raise
        if dialog is not None:
            dialog.give(answers)
            return Verdict(None)
        try:
            problem = await self._checks[question_id](answers)
        except OSError as error:  # this machine is out of resources
            problem = f"the answer could not be tried: {os_error_text(error)}"
        except BaseException:
            self._ask_again(question, "the answer could not be tried")
            raise
        finally:
            wipe(answers)
        if problem:
            self._ask_again(question, problem)
            return Verdict(False, problem)
        self._close(question_id, Outcome.ANSWERED)
        return Verdict(True)

    def keep(self, client: Hashable, question_id: str) -> None:
        """Keep a standing question open for a client, even if no tunnel waits for the answer.

        It ends when the client declines or leaves. One that was closed meanwhile stays so.
        """
        if self._is_open(question_id):
            self._keepers.setdefault(question_id, set()).add(client)

    def decline(self, client: Hashable, question_id: str) -> None:
        """Withdraw a client's claim; its person does not answer. A login that waits for it ends."""
        self._publish(self._book.release(client, question_id))
        self._stop_keeping(client, {question_id})
        dialog = self._dialogs.get(question_id)
        if dialog is not None:
            self._leave(dialog, client, "the question was declined")

    def disconnect(self, client: Hashable) -> None:
        """Forget a client that has gone: its claims, and the tunnels that it attends."""
        self._attendance.remove(client)
        self._publish(self._book.release(client))
        self._stop_keeping(client, set(self._keepers))
        for dialog in list(self._logins.values()):
            self._leave(dialog, client, "the person who was asked has left")

    # -- for tunnels -------------------------------------------------------------------------

    def wait(self, tunnel: str, question_ids: Iterable[str] = ()) -> None:
        """Set for which questions a tunnel waits. One for which none waits is closed."""
        wanted = set(question_ids)
        joined = [q for q in self.questions if q.id in wanted and tunnel not in q.tunnels]
        self._publish(self._book.wait(tunnel, wanted))
        # A login that several tunnels share ran for another one, which no person attends.
        is_attended = any(self._rests(q) for q in joined) and self.attending({tunnel})
        if is_attended or any(self._is_offered(q, tunnel) for q in self.questions):
            self.retry(tunnel)

    # -- for connection attempts -------------------------------------------------------------

    def post(
        self,
        subject: Subject,
        text: str,
        prompts: Sequence[Prompt],
        check: Check,
        *,
        tunnel: str = "",
        host_key: HostKeyDetails | None = None,
    ) -> str:
        """Ask a standing question, or join those who wait for it. Return its id at once.

        check: tries the answers. When they serve, the question is closed and every tunnel that
        waits for it retries.
        """
        question, changes = self._book.ask(subject, text, prompts, tunnel=tunnel, host_key=host_key)
        self._checks[question.id] = check
        self._publish(changes)
        return question.id

    def join(self, subject: Subject, tunnel: str, files: tuple[str, ...]) -> Question | None:
        """Let one more tunnel wait for an open question about a host key, sought in these files."""
        found = self._book.find(subject)
        searched = found.host_key.files if found is not None and found.host_key is not None else ()
        if found is None or searched != files or tunnel in found.tunnels:
            return None
        self._publish(self._book.join(found.id, tunnel))
        return self._book.get(found.id)

    def withdraw(self, subject: Subject) -> None:
        """Close a standing question that has been answered elsewhere. Its tunnels retry."""
        question = self._book.find(subject)
        if question is not None:
            self._close(question.id, Outcome.ANSWERED)

    def dialog(self, hop: str, tunnel: str) -> LoginDialog:
        """Return the dialog for one login. It asks nothing yet."""
        return LoginDialog(self, hop, tunnel)

    @contextmanager
    def touch_notice(self, about: str, text: str, tunnel: str) -> Iterator[None]:
        """Show that a login waits for a touch or a confirmation at a key, while the body runs."""
        subject = Subject(Kind.TOUCH, about)
        question, changes = self._book.ask(subject, text, tunnel=tunnel, is_live=True)
        self._publish(changes)
        try:
            yield
        finally:
            self._publish(self._book.leave(question.id, tunnel))

    async def ask_during_login(
        self,
        dialog: LoginDialog,
        kind: Kind,
        text: str,
        prompts: Sequence[Prompt],
        deadline: float,
        problem: str,
    ) -> Sequence[Secret]:
        """Ask a question of a login; see LoginDialog.ask."""
        self.admit(dialog, kind, text, problem)
        question, changes = self._book.ask(
            Subject(kind, dialog.hop),
            text,
            prompts,
            tunnel=dialog.tunnel,
            is_live=True,
            deadline=deadline,
            problem=problem,
        )
        dialog.question_id = question.id
        self._dialogs[question.id] = dialog
        self._publish(changes)
        return await dialog.wait()

    def admit(self, dialog: LoginDialog, kind: Kind, text: str, problem: str) -> None:
        """Let a login ask, if a person is present; see LoginDialog.admit."""
        subject = Subject(kind, dialog.hop)
        found = self._book.find(subject)
        asking = self._logins.get(dialog.hop)
        if asking not in {None, dialog}:
            reason = "another login on this host is asking"
        else:
            if asking is None or not dialog.present:
                dialog.present = self._present_clients(dialog, found)
            if dialog.present:
                self._logins[dialog.hop] = dialog
                if found is not None:
                    self._offers.pop(found.id, None)
                return
            reason = "no person is present to answer"
        if found is not None and (asking is not None or not problem):
            self._publish(self._book.join(found.id, dialog.tunnel))
            raise AnswerNeededError(found.id, reason)
        question, changes = self._book.ask(subject, text, tunnel=dialog.tunnel, problem=problem)
        self._publish(changes)
        raise AnswerNeededError(question.id, reason)

    def has_person(self, dialog: LoginDialog) -> bool:
        """Return whether a person answers the questions of a login; see LoginDialog.has_person."""
        found = self._book.find(Subject(Kind.CODES, dialog.hop))
        return bool(dialog.present or self._present_clients(dialog, found))

    def login_succeeded(self, dialog: LoginDialog, *, is_remembered: bool) -> None:
        """Close the question of a login that succeeded; see LoginDialog.succeeded."""
        question = self._end_dialog(dialog)
        if question is None:
            return
        others = [name for name in question.tunnels if name != dialog.tunnel]
        if not others or is_remembered:
            self._close(question.id, Outcome.ANSWERED, retry=others)
            return
        self._publish(self._book.wait(dialog.tunnel, ()))
        self._publish(self._book.rest(question.id, _resting_text(question)))
        self._start_attended_login(question.id)

    def login_ended(self, dialog: LoginDialog, problem: str) -> None:
        """Let the question of a login rest until a person is there; see LoginDialog.ended."""
        has_asked = dialog.question_id is not None
        question = self._end_dialog(dialog)
        if question is not None:
            self._publish(self._book.rest(question.id, _resting_text(question), problem))
            if not has_asked:
                self._start_attended_login(question.id)

    # -- private -----------------------------------------------------------------------------

    def _stop_keeping(self, client: Hashable, question_ids: set[str]) -> None:
        """Close the questions that clients kept open and no one has a use for any more."""
        for question_id in question_ids & self._keepers.keys():
            keepers = self._keepers[question_id]
            keepers.discard(client)
            tunnels = self._book.get(question_id).tunnels
            if not (keepers or tunnels or self._book.claimants(question_id)):
                self._close(question_id, Outcome.NOT_NEEDED)

    def _end_dialog(self, dialog: LoginDialog) -> Question | None:
        """Let other logins on its hop ask. Return the question about that hop, if there is one."""
        if self._logins.get(dialog.hop) is not dialog:
            return None
        del self._logins[dialog.hop]
        if dialog.question_id is not None:
            self._dialogs.pop(dialog.question_id, None)
        return self._book.find(Subject(Kind.CODES, dialog.hop))

    def _present_clients(self, dialog: LoginDialog, question: Question | None) -> set[Hashable]:
        tunnels = {dialog.tunnel, *(question.tunnels if question is not None else ())}
        claimants = self._book.claimants(question.id) if question is not None else set()
        return self.attending(tunnels) | claimants

    def attending(self, tunnels: Iterable[str]) -> set[Hashable]:
        """Return the clients that are present for one of these tunnels."""
        return self._attendance.of(tunnels)

    def _start_login(self, question: Question) -> None:
        """Let one tunnel that waits for a person log in now, unless a login is asking."""
        if question.tunnels and self._rests(question):
            self._offers[question.id] = question.tunnels[0]
            self.retry(question.tunnels[0])

    def _is_offered(self, question: Question, tunnel: str) -> bool:
        """Return whether a tunnel was let log in too early: its last attempt had not ended."""
        is_offered = self._offers.get(question.id) == tunnel and tunnel in question.tunnels
        people = self.attending(question.tunnels) | self._book.claimants(question.id)
        return is_offered and self._rests(question) and bool(people)

    def _start_attended_login(self, question_id: str) -> None:
        """Let a tunnel that waits log in now, if a person is there already."""
        question = next((q for q in self.questions if q.id == question_id), None)
        if question is not None and self.attending(question.tunnels):
            self._start_login(question)

    def _rests(self, question: Question) -> bool:
        """Return whether a question is about a login, and no login is asking it."""
        return question.subject.kind in LOGIN_KINDS and question.subject.about not in self._logins

    def _leave(self, dialog: LoginDialog, client: Hashable, reason: str) -> None:
        if client not in dialog.present:
            return
        dialog.present.discard(client)
        if not dialog.present:
            dialog.give_up(reason)

    def _ask_again(self, question: Question, problem: str) -> None:
        """Ask a standing question again, unless it was closed meanwhile."""
        if not self._is_open(question.id):
            return
        _, changes = self._book.ask(
            question.subject,
            question.text,
            question.prompts,
            problem=problem,
            host_key=question.host_key,
        )
        self._publish(changes)

    def _close(
        self, question_id: str, outcome: Outcome, retry: Iterable[str] | None = None
    ) -> None:
        changes = self._book.close(question_id, outcome)
        self._publish(changes)
        for change in changes:
            for tunnel in change.question.tunnels if retry is None else retry:
                self.retry(tunnel)

    def _is_open(self, question_id: str) -> bool:
        return any(question.id == question_id for question in self._book.questions)

    def _publish(self, changes: Iterable[Change]) -> None:
        for change in changes:
            if isinstance(change, Closed):
                for of_question in (self._checks, self._keepers, self._offers):
                    of_question.pop(change.question.id, None)
            for listener in list(self._listeners):
                listener(change)


def _resting_text(question: Question) -> str:
    what = "a password" if question.subject.kind is Kind.PASSWORD else "an answer"
    return f"{question.subject.about} asks for {what} at the login"
