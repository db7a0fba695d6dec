"""The answers of one login: those that are stored, then those of a person, each sent at most once.

It decides what a login by password or keyboard-interactive sends and what it remembers. It knows
nothing of messages and connections.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from tunnelkeeper.core.login_methods import KEYBOARD_INTERACTIVE, PASSWORD
from tunnelkeeper.core.login_prompts import Round, change_question
from tunnelkeeper.core.questions import MAX_PROMPTS, Kind, Prompt
from tunnelkeeper.core.secret import wipe
from tunnelkeeper.core.text import printable
from tunnelkeeper.questions.login_dialog import AnswerNeededError
from tunnelkeeper.questions.sources import MEMORY
from tunnelkeeper.ssh.auth.login_failure import (
    LoginRecord,
    ServerReplies,
    needs_answer,
    waits_for_passphrase,
)
from tunnelkeeper.ssh.auth.login_memory import STORED, WAS_REFUSED
from tunnelkeeper.ssh.auth.login_request import (
    PASSWORD_CHANGE,
    WAITING,
    LoginAbandonedError,
    Request,
    hidden,
)
from tunnelkeeper.ssh.auth.stored_passwords import StoredPasswords

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from tunnelkeeper.core.configuration import Host
    from tunnelkeeper.core.secret import Secret
    from tunnelkeeper.questions.login_dialog import LoginDialog
    from tunnelkeeper.questions.sources import AnswerSources, Found, HopKey
    from tunnelkeeper.ssh.auth.login_memory import LoginMemory
    from tunnelkeeper.ssh.auth.login_request import LoginProgress

MAX_ROUNDS = 100
"""Rounds of keyboard-interactive, and demands of a new password, in one login."""

MAX_NOTICES = 20
"""Texts of a server without a prompt that are kept for the next question."""


@dataclass(slots=True)
class LoginAnswers:
    """The answers of one login on one hop.

    Attributes:
        record: What the login has done with keys.
        replies: What the server has answered.
        deadline: Returns the monotonic time at which the login ends.
        on_asking: Called before a person is asked.
        unlock_command: The command that lets a person answer, or empty in a program without one.
        unanswered: Why there was no answer, or None.
        abandoned: Why the login was ended for another reason, or empty.
        asked_for: What was asked for last, such as "a password".
        is_asking: Whether the login has waited for a person to its end.
        problem: Why the last answer did not serve.
        refusals: How many answers of a person the server has refused.
        has_asked: Whether a person was asked for what the server demands.
        is_forbidden: Whether BatchMode has forbidden a question.
        could_ask: Whether a question was left out because no person is present.
    """

    host: Host
    key: HopKey
    dialog: LoginDialog
    sources: AnswerSources
    memory: LoginMemory
    progress: LoginProgress
    record: LoginRecord = field(default_factory=LoginRecord)
    replies: ServerReplies = field(default_factory=ServerReplies)
    deadline: Callable[[], float] = lambda: 0.0
    on_asking: Callable[[], None] = lambda: None
    unlock_command: str = ""
    unanswered: AnswerNeededError | None = None
    abandoned: str = ""
    asked_for: str = "a password"
    is_asking: bool = False
    problem: str = ""
    refusals: int = 0
    has_asked: bool = False
    is_forbidden: bool = False
    could_ask: bool = False
    _requests: Counter[str] = field(default_factory=Counter)
    _request: Request | None = None
    _stored: StoredPasswords = field(init=False)
    _has_prompted: bool = False
    _rounds: int = 0
    _notices: list[str] = field(default_factory=list)
    _is_remembered: bool = False
    _has_codes: bool = False

    def __post_init__(self) -> None:
        """Prepare the search for stored passwords."""
        self._stored = StoredPasswords(
            self.host, self.key, self.sources, self.memory, self.progress
        )

    def begin(self, record: LoginRecord, replies: ServerReplies) -> None:
        """Answer on a new connection. An earlier one was lost before its server had decided."""
        self.record, self.replies, self.is_asking = record, replies, False
        self._stored.restart()
        if self._request is not None:
            self._requests[self._request.method] -= 1
            self._request.wipe()
            self._request = None

    # -- what a method sends -----------------------------------------------------------------

    async def password(self) -> Secret | None:
        """Return the next password to send, or None if the method has no more.

        Raises AnswerNeededError.
        """
        if not self._may_begin(PASSWORD):
            return None
        found = await self._stored_password()
        self._begin(PASSWORD)
        if found is not None:
            return self._use(found)
        text = f"{self.dialog.hop} asks for a password"
        name = self.host.host_key_alias or self.host.hostname
        prompt = Prompt.of(f"{self.host.user}@{name}'s password: ")
        answers = await self._ask_unrefused(Kind.PASSWORD, text, (prompt,))
        if answers is None:
            return None
        self._record(answers)
        self._current.password = answers[0]
        return answers[0]

    async def changed_password(self, notice: str) -> tuple[Secret, Secret] | None:
        """Return the old and the new password, which a server demands. None: the method ends.

        Raises AnswerNeededError, LoginAbandonedError.
        """
        self._count_round()
        request = self._current
        if request.is_change:
            self.memory.add_refused(self.key, request.label, request.secrets)
            self.problem = "the server does not accept the new password"
        text, prompts = change_question(self.dialog.hop, notice)
        request.wipe()
        self._request = request = Request(PASSWORD, is_change=True)
        for _ in range(self.host.number_of_password_prompts):
            answers = await self._ask(Kind.PASSWORD, text, prompts)
            if answers is None:
                return None
            old, new, again = answers
            if new != again:
                self.problem = "the new passwords differ"
            elif self.memory.has_refused(self.key, [PASSWORD_CHANGE], [old, new]):
                self.problem = WAS_REFUSED
            else:
                again.wipe()
                self._record([old, new])
                request.password = new
                return old, new
            wipe(answers)
        return None

    async def may_begin_dialogue(self) -> bool:
        """Return whether to begin keyboard-interactive. It may make the server call a person.

        Raises AnswerNeededError.
        """
        is_ignored = self._requests[KEYBOARD_INTERACTIVE] > 0 and not self._has_prompted
        if not self._may_begin(KEYBOARD_INTERACTIVE) or is_ignored:
            return False
        wants_codes = self.key in self.memory.hops_with_codes
        has_stored = await self._stored.has_next()
        self.problem = self._stored.problem or self.problem
        if not has_stored or wants_codes:
            kind = Kind.CODES if wants_codes else Kind.PASSWORD
            what = "an answer" if wants_codes else "a password or a code"
            if not self._admit(kind, f"{self.dialog.hop} asks for {what}", what):
                return False
        self._begin(KEYBOARD_INTERACTIVE)
        return True

    async def answers(self, round_: Round) -> Sequence[Secret] | None:
        """Return the answers to one round of keyboard-interactive. None: the method ends.

        Raises:
            AnswerNeededError: No person answers.
            LoginAbandonedError: The server asks for too much.
        """
        self._count_round(len(round_.prompts))
        self._has_prompted = True
        if not round_.prompts:
            self._add_notice(round_.notice)
            return []
        kind = round_.kind
        if kind is Kind.PASSWORD:
            found = await self._stored_password()
            if found is not None:
                return [self._use(found)]
        elif not round_.changes_password:
            self.memory.hops_with_codes.add(self.key)
        text, prompts = round_.question(self.dialog.hop, tuple(self._notices))
        answers = await self._ask_unrefused(kind, text, prompts)
        if answers is None:
            return None
        self._notices.clear()
        request = self._current
        request.answers += answers
        secrets = hidden(answers, prompts)
        self._record(secrets)
        if kind is Kind.PASSWORD:
            request.password = answers[0]
        elif round_.changes_password:
            request.changes += secrets
        else:
            request.has_codes = True
        return answers

    # -- what the server decides ---------------------------------------------------------------

    def refused(self) -> None:
        """Record that the server has refused the last request."""
        request, self._request = self._request, None
        if request is None:
            return
        self.is_asking = False
        if request.secrets:
            self.memory.add_refused(self.key, request.label, request.secrets)
        if request.source and request.password is not None:
            self._stored.has_refused = True
            self.memory.add_refused(self.key, STORED, [request.password])
            if request.source == MEMORY and len(request.secrets) == 1:
                self.sources.forget_password(self.key)
            self.problem = f"the password from {request.source} was refused"
        if request.is_typed:
            self.refusals += 1
            self.problem = "the answer was refused"
            if request.password is not None and len(request.secrets) == 1:
                self.problem = "the password was refused"
            elif request.is_change:
                self.problem = "the password was not changed"
        elif request.source:
            self._requests[request.method] -= 1  # only what a person answers is counted
        if self.problem:
            self.progress.info(f"{self.dialog.hop}: {self.problem}")
        request.wipe()

    def accepted(self) -> None:
        """Record that the server has accepted the last request, alone or as one of several."""
        request, self._request = self._request, None
        if request is None:
            return
        self.is_asking = False
        self.problem = ""
        password = request.proved_password
        self.memory.succeeded(self.key, password)
        if password is not None:
            self.memory.hops_with_password.add(self.key)
        if request.method == KEYBOARD_INTERACTIVE and not request.has_codes:
            self.memory.hops_with_codes.discard(self.key)
        if password is not None and (request.changes or not request.source):
            self.sources.remember_password(self.key, password)
            self._is_remembered = True
        elif request.changes:
            self.sources.forget_password(self.key)
        if request.source not in {"", MEMORY} and request.changes:
            text = f"the password was changed: store the new one in {request.source}"
            self.progress.warn(f"{self.dialog.hop}: {text}")
        self._has_codes = self._has_codes or request.has_codes
        request.wipe()

    async def succeeded(self, *, is_shared: bool) -> None:
        """Close the question of the login. is_shared: other tunnels will use the connection."""
        is_remembered = self._is_remembered and not self._has_codes
        self.dialog.succeeded(is_remembered=is_shared or is_remembered)
        await self._close()

    async def ended(self, problem: str) -> None:
        """Let the question of the login rest: it has failed. problem: why, for a person."""
        self.dialog.ended(problem)
        await self._close()

    # -- private -------------------------------------------------------------------------------

    @property
    def _current(self) -> Request:
        if self._request is None:
            raise LoginAbandonedError("the server answered a request that was not sent")
        return self._request

    def _may_begin(self, method: str) -> bool:
        is_exhausted = self._requests[method] >= self.host.number_of_password_prompts
        return not is_exhausted and not waits_for_passphrase(self.record, self.replies)

    def _begin(self, method: str) -> None:
        if self._request is not None:
            self._request.wipe()
        self._request = Request(method)
        self._requests[method] += 1

    def _use(self, found: Found) -> Secret:
        request = self._current
        request.source, request.password = found.source, found.secret
        request.secrets.append(found.secret)
        self.progress.debug(f"{self.dialog.hop}: sending the password from {found.source}")
        return found.secret

    def _record(self, secrets: Sequence[Secret]) -> None:
        """Record what a person has answered, and is sent next."""
        self._current.secrets += secrets
        self._current.is_typed = True
        self.problem = ""

    async def _stored_password(self) -> Found | None:
        found = await self._stored.take()
        self.problem = self._stored.problem or self.problem
        return found

    def _admit(self, kind: Kind, text: str, what: str) -> bool:
        """Return whether a person can be asked. Raises AnswerNeededError if one must be."""
        self.asked_for = what
        if self.host.batch_mode:
            self.is_forbidden = True
            return False
        has_logged_in = self.key in self.memory.hops_with_password
        is_begun = self._request is not None and self._request.is_begun
        is_needed = is_begun or self._stored.has_refused or has_logged_in
        is_needed = is_needed or needs_answer(self.host, self.record, self.replies)
        if not self.dialog.has_person and not is_needed:
            self.could_ask = True
            return False
        try:
            self.dialog.admit(kind, text, self.problem)
        except AnswerNeededError as error:
            self.unanswered = error
            raise
        return True

    async def _ask(
        self, kind: Kind, text: str, prompts: Sequence[Prompt]
    ) -> Sequence[Secret] | None:
        """Ask a person. Return None if that is not allowed."""
        what = "a password" if kind is Kind.PASSWORD else "an answer"
        if not self._admit(kind, text, f"{len(prompts)} answers" if len(prompts) > 1 else what):
            return None
        self.has_asked = self.is_asking = True  # and it stays true if the login ends meanwhile
        self.on_asking()
        self.progress.waiting(WAITING)
        try:
            answers = await self.dialog.ask(kind, text, prompts, self.deadline(), self.problem)
        except AnswerNeededError as error:
            self.is_asking, self.unanswered = False, error
            raise
        finally:
            self.progress.waiting("")
        self.is_asking = False
        return answers

    async def _ask_unrefused(
        self, kind: Kind, text: str, prompts: Sequence[Prompt]
    ) -> Sequence[Secret] | None:
        """Ask a person until the answers are not those that were refused before."""
        request = self._current
        while self._requests[request.method] <= self.host.number_of_password_prompts:
            answers = await self._ask(kind, text, prompts)
            if answers is None:
                return None
            secrets = hidden(answers, prompts)
            sent = [*request.secrets, *secrets]
            is_new = not self.memory.has_refused(self.key, [request.method], sent)
            if is_new or (kind is Kind.CODES and not any(secrets)):
                return answers
            wipe(answers)
            self.problem = WAS_REFUSED
            self._requests[request.method] += 1
        return None

    def _count_round(self, prompts: int = 0) -> None:
        self._rounds += 1
        if self._rounds > MAX_ROUNDS or prompts > MAX_PROMPTS:
            raise LoginAbandonedError("the server asks more questions than a login can have")

    def _add_notice(self, notice: str) -> None:
        """Log what a server says without asking, and keep it for the next question."""
        if notice and self._rounds <= MAX_NOTICES:
            self._notices.append(notice)
            self.progress.info(f"{self.dialog.hop} says: {printable(notice)}")

    async def _close(self) -> None:
        if self._request is not None:
            self._request.wipe()
            self._request = None
        await self._stored.close()
