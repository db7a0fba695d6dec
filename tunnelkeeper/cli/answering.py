"""Answers the questions of some tunnels on the terminal while a command waits for them."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from typing import TYPE_CHECKING, Any, TypeVar

import click

from tunnelkeeper.cli.terminal import DeclinedError, Terminal, WithdrawnError
from tunnelkeeper.cli.wait import NO_ANSWERS, Answers, is_settled, wait_until
from tunnelkeeper.control import question_client
from tunnelkeeper.control.client import Client
from tunnelkeeper.control.client_errors import NoSupervisorError, RemoteError
from tunnelkeeper.control.jsonrpc import ErrorCode, ProtocolError
from tunnelkeeper.control.payloads import QuestionClosedEvent, QuestionEvent
from tunnelkeeper.core.questions import MAX_WRONG
from tunnelkeeper.core.secret import wipe
from tunnelkeeper.presentation.question_text import introduction, prompt_texts

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator
    from pathlib import Path

    from tunnelkeeper.cli.launch import Ask
    from tunnelkeeper.control.payloads import Event
    from tunnelkeeper.core.secret import Secret
    from tunnelkeeper.core.snapshot import HostKeySnapshot, QuestionSnapshot, TunnelSnapshot

Quiet = Callable[[], AbstractContextManager[None]]
"""Returns a context in which nothing else writes to the terminal."""

END_TIMEOUT = 2.0
"""Seconds for the thread that asks to notice the end of its supervisor."""

ASK_AGAIN = "Please type 'yes', 'no' or the fingerprint: "
"""What ssh says to another answer about a host key."""


class TerminalAnswers(Answers):
    """A person at a terminal who answers the questions of some tunnels.

    names: The tunnels. keys: Key files whose passphrases are answered too. quiet: a context in
    which nothing else writes to the terminal.
    """

    def __init__(
        self,
        client: Client,
        terminal: Terminal,
        names: Collection[str],
        keys: Collection[str] = (),
        quiet: Quiet = nullcontext,
    ) -> None:
        self._client = client
        self._terminal = terminal
        self._names = frozenset(names)
        self._keys = frozenset(keys)
        self._quiet = quiet
        self._open: dict[str, QuestionSnapshot] = {}
        self._answered: set[str] = set()
        self._left_alone: set[str] = set()
        self._started: set[tuple[str, tuple[str, ...]]] = set()
        self._wrong: dict[str, int] = {}
        self._tried: dict[str, int] = {}
        self.is_supported = True

    def attend(self) -> None:
        """Tell the supervisor that a person is here. One of an older version asks nothing."""
        try:
            question_client.attend(self._client, sorted(self._names))
        except RemoteError as error:
            if error.code != ErrorCode.METHOD_NOT_FOUND:
                raise
            self.is_supported = False

    def learn(self, questions: Iterable[QuestionSnapshot]) -> None:
        """Take the open questions of a status."""
        self._open = {question.id: question for question in questions}

    def on_event(self, event: Event) -> None:
        """Take an event about a question; ignore others."""
        match event:
            case QuestionEvent(question):
                self._open[question.id] = question
            case QuestionClosedEvent(id=closed, outcome=outcome):
                self._open.pop(closed, None)
                if outcome == "answered":
                    self._answered.add(closed)

    def expects_more(self, tunnel: TunnelSnapshot) -> bool:
        """Whether a tunnel that is blocked proceeds when its question is answered here."""
        if not self.is_supported or tunnel.state != "blocked" or tunnel.failure is None:
            return False
        question = tunnel.failure.question
        return question in self._answered or (
            question in self._open and question not in self._left_alone
        )

    def ask_keys(self) -> None:
        """Ask the passphrases of the keys until each is answered or left alone."""
        self._client.follow("version")
        while any(
            self._is_about_key(question)
            for question in self._open.values()
            if question.id not in self._left_alone
        ):
            self.ask()
            self.on_event(next(self._client.events()))

    def _is_about_key(self, question: QuestionSnapshot) -> bool:
        return question.kind == "passphrase" and question.about in self._keys

    def ask(self) -> float:
        """Ask what can be asked now. Return the seconds that the person took.

        Raises NoSupervisorError, RemoteError, ProtocolError, TimeoutError.
        """
        began = time.monotonic()
        asked = False
        while (question := self._next()) is not None:
            asked = True
            if question.prompts:
                self._ask(question)
            else:
                self._start_login(question)
        return time.monotonic() - began if asked else 0.0

    def _next(self) -> QuestionSnapshot | None:
        for question in self._open.values():
            is_of_tunnel = not self._names.isdisjoint(question.tunnels)
            concerns = is_of_tunnel or self._is_about_key(question)
            if not concerns or question.kind == "touch" or question.id in self._left_alone:
                continue
            is_new = question.attempt > self._tried.get(question.id, 0)
            if is_new and (question.prompts or not question.live):
                return question
        return None

    def _start_login(self, question: QuestionSnapshot) -> None:
        """Let a login begin that will ask, once for the same tunnels: it may fail otherwise."""
        key = (question.id, tuple(question.tunnels))
        if key in self._started:
            if question.problem:
                self._terminal.show(introduction(question))
            self._left_alone.add(question.id)
            return
        self._started.add(key)
        self._tried[question.id] = question.attempt  # it is asked again when the login is live
        try:
            question_client.claim(self._client, question.id)
        except RemoteError:
            self._open.pop(question.id, None)

    def _ask(self, question: QuestionSnapshot) -> None:
        try:
            claimed = question_client.claim(self._client, question.id)
        except RemoteError:  # it was closed, or rests again; an event says so
            self._open.pop(question.id, None)
            return
        question = self._open[question.id] = claimed.question
        if not question.prompts:
            return
        try:
            answers = self._read_answers(question)
        except WithdrawnError:
            self._terminal.write("The question was withdrawn.\n")
            return
        except (DeclinedError, KeyboardInterrupt) as error:
            self._decline(question)
            if isinstance(error, KeyboardInterrupt):
                raise
            return
        self._tried[question.id] = question.attempt  # an event follows if it is asked again
        try:
            answered = question_client.answer(self._client, claimed, answers)
        except RemoteError as error:
            self._terminal.write(f"{error.message}\n")
            return
        if answered.accepted:
            self._answered.add(question.id)
        elif answered.accepted is False:
            self._count_wrong(question)

    def _read_answers(self, question: QuestionSnapshot) -> list[Secret]:
        """Read an answer for each prompt. Raises DeclinedError, WithdrawnError."""

        def is_withdrawn() -> bool:
            return any(_withdraws(event, question) for event in self._client.peek_events())

        with self._quiet():
            return read_answers(self._terminal, question, self._client.fileno(), is_withdrawn)

    def _decline(self, question: QuestionSnapshot) -> None:
        self._left_alone.add(question.id)
        try:
            question_client.decline(self._client, question.id)
        except RemoteError:
            return

    def _count_wrong(self, question: QuestionSnapshot) -> None:
        self._wrong[question.id] = self._wrong.get(question.id, 0) + 1
        if self._wrong[question.id] >= MAX_WRONG:
            self._decline(question)


def read_answers(
    terminal: Terminal,
    question: QuestionSnapshot,
    watched: int,
    is_withdrawn: Callable[[], bool] = lambda: True,
) -> list[Secret]:
    """Show a question and read an answer for each prompt. `no` declines a host key.

    watched: a descriptor. When it can be read, is_withdrawn says whether the question has lapsed.
    Raises DeclinedError, WithdrawnError.
    """
    terminal.show(introduction(question))
    answers: list[Secret] = []

    def ask(text: str, *, echo: bool) -> Secret:
        return terminal.ask(text, echo=echo, watched=watched, is_withdrawn=is_withdrawn)

    try:
        for text, prompt in zip(prompt_texts(question), question.prompts, strict=True):
            answer = ask(text, echo=prompt.echo)
            while question.kind == "host_key" and not _decides(question.host_key, answer):
                answer = ask(ASK_AGAIN, echo=True)
            answers.append(answer)
    except BaseException:
        wipe(answers)
        raise
    return answers


def _decides(key: HostKeySnapshot | None, answer: Secret) -> bool:
    """Return whether an answer accepts a host key. Raises DeclinedError if it refuses the key."""
    text = answer.reveal_text().strip()
    if text.lower() == "no":
        raise DeclinedError
    return key is None or text.lower() == "yes" or text == key.fingerprint


def ask_on_terminal(question: QuestionSnapshot, watched: int) -> list[Secret] | None:
    """Ask a question; None without an answer. watched: can be read when the question lapses."""
    terminal = Terminal.open()
    if terminal is None:
        return None
    with terminal:
        try:
            return read_answers(terminal, question, watched)
        except WithdrawnError:
            terminal.write("The question was withdrawn.\n")
        except DeclinedError:
            pass
    return None


def person_at_terminal() -> Ask | None:
    """Return the function that asks the person at the terminal, or None without one."""
    terminal = Terminal.open()
    if terminal is None:
        return None
    with terminal:
        return ask_on_terminal


def _withdraws(event: Event, question: QuestionSnapshot) -> bool:
    """Return whether a question is closed or asked again by an event."""
    match event:
        case QuestionEvent(now):
            return now.id == question.id and now.attempt != question.attempt
        case QuestionClosedEvent(id=closed):
            return closed == question.id
    return False


F = TypeVar("F", bound=Callable[..., Any])


def no_questions(command: F) -> F:
    """Add --batch to a command."""
    return click.option("--batch", is_flag=True, help="Ask nothing, even on a terminal.")(command)


@contextmanager
def asking(
    client: Client,
    names: Collection[str],
    *,
    asks: bool,
    keys: Collection[str] = (),
    quiet: Quiet = nullcontext,
) -> Iterator[Answers]:
    """Yield the person at the terminal. It is no one without a terminal, or if nothing is asked.

    quiet: a context in which nothing else writes to the terminal.
    """
    terminal = Terminal.open() if asks else None
    if terminal is None:
        yield NO_ANSWERS
        return
    with terminal:
        yield TerminalAnswers(client, terminal, names, keys, quiet)


@contextmanager
def asking_beside(socket: Path, *, asks: bool) -> Iterator[Callable[[list[str], Quiet], None]]:
    """Ask on the terminal of a supervisor that runs in this process, until its tunnels settled.

    Yields the function to call with its tunnels, and the context in which it logs nothing, once the
    socket is served. A thread asks, as a client of that socket; the context waits for its end,
    which restores the terminal.
    """
    threads: list[threading.Thread] = []

    def start(names: list[str], quiet: Quiet) -> None:
        if asks and names:
            threads.append(threading.Thread(target=_ask, args=[socket, names, quiet], daemon=True))
            threads[-1].start()

    try:
        yield start
    finally:
        for thread in threads:
            thread.join(END_TIMEOUT)


def _ask(socket: Path, names: list[str], quiet: Quiet) -> None:
    terminal = Terminal.open()
    if terminal is None:
        return
    with (
        terminal,
        suppress(NoSupervisorError, RemoteError, ProtocolError, OSError),
        Client(socket, is_named=True) as client,
    ):
        answers = TerminalAnswers(client, terminal, names, quiet=quiet)
        wait_until(client, names, is_settled, None, answers)
