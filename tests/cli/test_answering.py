"""Questions on a terminal: what is shown, what is hidden, and when asking ends."""

from __future__ import annotations

import os
import select
import termios
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

from tests.control.fakes import RunningServer, a_tunnel, running_server
from tests.e2e.waiting import wait_until as wait_for
from tunnelkeeper.cli.answering import TerminalAnswers
from tunnelkeeper.cli.terminal import DeclinedError, Terminal
from tunnelkeeper.cli.wait import is_settled, wait_until
from tunnelkeeper.control.client import Client
from tunnelkeeper.control.payloads import TunnelEvent
from tunnelkeeper.core.questions import HostKeyDetails, Kind, Outcome, Prompt, Subject
from tunnelkeeper.core.snapshot import FailureSnapshot

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from tunnelkeeper.core.secret import Secret
    from tunnelkeeper.core.snapshot import TunnelSnapshot

DEADLINE = 30.0
KEY = Subject(Kind.PASSPHRASE, "/home/ann/.ssh/id")
HOST_KEY = Subject(Kind.HOST_KEY, "ann@server:22")
PROMPT = (Prompt("Passphrase:"),)


class FakeTerminal:
    """A pseudo-terminal and what a person sees on it."""

    def __init__(self) -> None:
        self.master, self.slave = os.openpty()
        self.terminal = Terminal(self.slave)
        self.screen = ""
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def _read(self) -> None:
        while True:
            try:
                data = os.read(self.master, 4096)
            except OSError:  # every descriptor of the other side is closed
                return
            self.screen += data.decode()

    def type_at(self, prompt: str, text: str) -> None:
        wait_for(lambda: prompt in self.screen, DEADLINE, lambda: f"no {prompt!r}: {self.screen}")
        self.screen = self.screen.partition(prompt)[2]
        os.write(self.master, text.encode())

    @property
    def echoes(self) -> bool:
        return bool(termios.tcgetattr(self.slave)[3] & termios.ECHO)

    def close(self) -> None:
        os.close(self.slave)
        self._reader.join(DEADLINE)
        os.close(self.master)


@pytest.fixture
def person() -> Iterator[FakeTerminal]:
    terminal = FakeTerminal()
    try:
        yield terminal
    finally:
        terminal.close()


@contextmanager
def in_thread(run: Callable[[], object]) -> Iterator[None]:
    thread = threading.Thread(target=run)
    thread.start()
    yield
    thread.join(DEADLINE)
    assert not thread.is_alive()


def blocked(question: str) -> TunnelSnapshot:
    failure = FailureSnapshot("answer_needed", "ann@server:22", "locked", "", "", question)
    return a_tunnel("db", "blocked", failure=failure)


class Questions:
    """A supervisor whose tunnel `db` waits for an answer, and comes up when it is right."""

    def __init__(self, server: RunningServer) -> None:
        self.server = server
        self.answers: list[bytes] = []
        board = server.fake.questions
        board.retry = lambda _: server.fake.publish(TunnelEvent(a_tunnel("db", "up")))

    async def check(self, answers: Sequence[Secret]) -> str:
        self.answers += [answer.reveal() for answer in answers]
        return "" if self.answers[-1] in {b"right", b"yes"} else "the passphrase is wrong"

    def post(self, subject: Subject, prompts: Sequence[Prompt], key: HostKeyDetails | None) -> str:
        board = self.server.fake.questions
        question = board.post(
            subject, "It is asked.", prompts, self.check, tunnel="db", host_key=key
        )
        self.server.fake.tunnels["db"] = blocked(question)
        return question


@pytest.fixture
def asked(tmp_path: Path) -> Iterator[Questions]:
    with running_server(tmp_path / "control.sock") as server:
        yield Questions(server)


def run_until_settled(path: Path, terminal: Terminal) -> dict[str, TunnelSnapshot]:
    with Client(path) as client:
        answers = TerminalAnswers(client, terminal, ["db"])
        return wait_until(client, ["db"], is_settled, None, answers)


def test_a_passphrase_is_asked_until_it_is_right_and_never_shown(
    asked: Questions, person: FakeTerminal
) -> None:
    asked.post(KEY, PROMPT, None)
    seen: list[str] = []

    def run() -> None:
        seen.append(run_until_settled(asked.server.path, person.terminal)["db"].state)

    with in_thread(run):
        person.type_at("Passphrase: ", "wrong\n")
        person.type_at("The passphrase is wrong.", "")
        person.type_at("Passphrase: ", "right\n")
    assert seen == ["up"]
    assert asked.answers == [b"wrong", b"right"]
    assert "right" not in person.screen
    assert person.echoes, "the terminal was not restored"


def test_long_lines_are_wrapped_at_blanks_to_the_width_of_the_terminal(
    person: FakeTerminal,
) -> None:
    termios.tcsetwinsize(person.slave, (24, 40))

    person.terminal.show(["Searched: /home/me/.ssh/known_hosts, /etc/ssh/ssh_known_hosts", "short"])

    wait_for(lambda: "short" in person.screen, DEADLINE, lambda: person.screen)
    assert person.screen.split() == [
        "Searched:",
        "/home/me/.ssh/known_hosts,",
        "/etc/ssh/ssh_known_hosts",
        "short",
    ]
    assert max(map(len, person.screen.splitlines())) <= 40


def test_a_host_key_is_shown_with_its_fingerprint(asked: Questions, person: FakeTerminal) -> None:
    details = HostKeyDetails("ED25519", "SHA256:abc", "", ("/known_hosts",), ("old",))
    asked.post(HOST_KEY, (Prompt("Accept it? (yes/no)", echo=True),), details)
    with in_thread(lambda: run_until_settled(asked.server.path, person.terminal)):
        wait_for(lambda: "Accept it?" in person.screen, DEADLINE, "the question")
        for text in ("Key: ED25519 SHA256:abc", "/known_hosts", "other names: old"):
            assert text in person.screen
        person.type_at("(yes/no) ", "y\n")
        person.type_at("Please type 'yes', 'no' or the fingerprint: ", "yes\n")
    assert asked.answers == [b"yes"]


@pytest.mark.parametrize("text", ["no\n", "\x04"])
def test_a_person_who_declines_is_not_asked_again(
    asked: Questions, person: FakeTerminal, text: str
) -> None:
    asked.post(HOST_KEY, (Prompt("Accept it? (yes/no)", echo=True),), None)
    seen: list[str] = []

    def run() -> None:
        seen.append(run_until_settled(asked.server.path, person.terminal)["db"].state)

    with in_thread(run):
        person.type_at("(yes/no) ", text)
    assert (seen, asked.answers) == (["blocked"], [])


def test_three_wrong_passphrases_are_enough(asked: Questions, person: FakeTerminal) -> None:
    asked.post(KEY, PROMPT, None)
    with in_thread(lambda: run_until_settled(asked.server.path, person.terminal)):
        for number in range(3):
            person.type_at("Passphrase: ", f"wrong {number}\n")
    assert len(asked.answers) == 3


def test_a_question_that_is_closed_meanwhile_is_withdrawn(
    asked: Questions, person: FakeTerminal
) -> None:
    question = asked.post(KEY, PROMPT, None)
    fake = asked.server.fake

    async def close() -> None:
        fake.questions._close(question, Outcome.ANSWERED)

    with in_thread(lambda: run_until_settled(asked.server.path, person.terminal)):
        wait_for(lambda: "Passphrase: " in person.screen, DEADLINE, "the question")
        asked.server.run(close())
        wait_for(lambda: "withdrawn" in person.screen, DEADLINE, "the withdrawal")


def test_what_was_typed_before_the_question_is_no_answer(person: FakeTerminal) -> None:
    os.write(person.master, b"typed too early\n")
    assert select.select([person.slave], [], [], DEADLINE)[0]
    results: list[object] = []

    def run() -> None:
        try:
            results.append(person.terminal.ask("Code: ", echo=False).reveal())
        except DeclinedError:
            results.append(None)

    with in_thread(run):
        person.type_at("Code: ", "123\n")
    assert results == [b"123"]
