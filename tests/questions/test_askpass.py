"""Questions that a program such as ssh-askpass asks. The program is a script."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import pytest

from tests.ssh.waiting import until
from tunnelkeeper.core.askpass import AskPassProgram
from tunnelkeeper.core.questions import MAX_WRONG, Kind, Prompt, Subject
from tunnelkeeper.questions.askpass import AskPass, asking_by_program
from tunnelkeeper.questions.board import QuestionBoard
from tunnelkeeper.questions.login_dialog import AnswerNeededError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence
    from pathlib import Path

    from tunnelkeeper.core.secret import Secret
    from tunnelkeeper.questions.login_dialog import LoginDialog

HOP = "ann@server:22"
KEY = Subject(Kind.PASSPHRASE, "/k")
HOST_KEY = Subject(Kind.HOST_KEY, HOP)
PASSPHRASE = (Prompt("Enter passphrase for key '/k': "),)
CODES = (Prompt("Password: "), Prompt("Code: "))
PROBLEM = "the passphrase is wrong"

SCRIPT = """#!/bin/sh
cd "$(dirname "$0")"
n=$(ls shown | wc -l)
printf '%s|%s' "$SSH_ASKPASS_PROMPT" "$1" > "new$n"
echo $$ > "pid$n"
mv "new$n" "shown/$n"
if [ -e "answer$n" ]; then cat "answer$n"; exit; fi
if [ -e hang ]; then exec sleep 600; fi
exit 1
"""
"""Keeps its prompts in files, and answers the nth with a file. Without one it is cancelled."""


class Desk:
    """A board, a person's desktop with a program that asks, and what happened."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.board = QuestionBoard()
        self.retried: list[str] = []
        self.log: list[str] = []
        self.board.retry = self.retried.append
        self.program = folder / "askpass"
        self.program.write_text(SCRIPT)
        self.program.chmod(0o700)
        (folder / "shown").mkdir()

    def answers(self, *answers: str) -> None:
        for number, answer in enumerate(answers):
            (self.folder / f"answer{number}").write_text(f"{answer}\n")

    @property
    def shown(self) -> list[str]:
        """The dialogs so far: SSH_ASKPASS_PROMPT and the text."""
        files = sorted((self.folder / "shown").iterdir(), key=lambda path: int(path.name))
        return [path.read_text() for path in files]

    @asynccontextmanager
    async def asking(self, *, preferred: bool = False) -> AsyncIterator[None]:
        program = AskPassProgram(str(self.program), preferred)
        async with asyncio.TaskGroup() as tasks:
            asking = AskPass(self.board, program, self.log.append, delay=0.0)
            task = tasks.create_task(asking.run())
            try:
                yield
            finally:
                task.cancel()

    def post(self, tunnel: str = "db", subject: Subject = KEY) -> str:
        return self.board.post(subject, "text", PASSPHRASE, right, tunnel=tunnel)

    def rest(self, tunnel: str = "db") -> None:
        """Let a login find no one who answers."""
        with pytest.raises(AnswerNeededError):
            self.board.dialog(HOP, tunnel).admit(Kind.CODES, f"{HOP} asks")

    async def log_in(self, prompts: Sequence[Prompt] = CODES) -> tuple[LoginDialog, list[bytes]]:
        """Log in with what the person answers."""
        dialog = self.board.dialog(HOP, "db")
        answers = await dialog.ask(Kind.CODES, f"{HOP} asks", prompts, deadline=9.0)
        return dialog, [answer.reveal() for answer in answers]


async def right(answers: Sequence[Secret]) -> str:
    return "" if answers[0].reveal() in {b"right", b"yes"} else PROBLEM


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path)


async def test_a_passphrase_is_asked_until_it_is_right(desk: Desk) -> None:
    desk.answers("wrong", "right")
    desk.post()
    async with desk.asking():
        await until(lambda: not desk.board.questions)
    text = "Enter passphrase for key '/k':"
    assert desk.shown == [f"|{text}", f"|{PROBLEM}\n{text}"]
    assert desk.retried == ["db"]


async def test_a_question_that_comes_later_is_asked_too(desk: Desk) -> None:
    desk.answers("right", "right")
    async with desk.asking():
        desk.post()
        await until(lambda: not desk.board.questions)
        desk.post("web")
        await until(lambda: desk.retried == ["db", "web"])


async def test_a_program_that_is_always_wrong_is_not_asked_for_ever(desk: Desk) -> None:
    desk.answers(*["wrong"] * 9)
    desk.post()
    async with desk.asking():
        await until(lambda: desk.board.questions[0].attempt == MAX_WRONG + 1)
        other = desk.board.post(
            Subject(Kind.PASSPHRASE, "/other"), "text", PASSPHRASE, right, tunnel="db"
        )
        await until(lambda: len(desk.shown) == 2 * MAX_WRONG)
        assert other


async def test_what_was_cancelled_is_asked_again_for_another_tunnel_only(desk: Desk) -> None:
    desk.post()
    async with desk.asking():
        await until(lambda: len(desk.shown) == 1)
        await until(lambda: not desk.board.questions[0].claimed)
        desk.post(subject=HOST_KEY)  # another question: the first one is not shown before it
        await until(lambda: len(desk.shown) == 2)
        desk.answers("", "", "right", "yes")
        desk.post("web")
        await until(lambda: desk.retried == ["db", "web"])
    assert [text.count("/k") for text in desk.shown] == [1, 1, 1]


async def test_a_host_key_is_refused_with_no(desk: Desk) -> None:
    desk.answers("no")
    desk.post(subject=HOST_KEY)
    async with desk.asking():
        await until(lambda: len(desk.shown) == 1 and not desk.board.questions[0].claimed)
    assert desk.retried == []
    assert desk.board.questions[0].attempt == 1


async def test_a_dialog_ends_when_its_question_closes(desk: Desk) -> None:
    (desk.folder / "hang").touch()
    desk.post()
    async with desk.asking():
        await until(lambda: len(desk.shown) == 1)
        pid = int((desk.folder / "pid0").read_text())
        desk.board.withdraw(KEY)
        await until(lambda: not running(pid))


async def test_a_dialog_ends_with_the_program(desk: Desk) -> None:
    (desk.folder / "hang").touch()
    desk.post()
    async with desk.asking():
        await until(lambda: len(desk.shown) == 1)
    assert not running(int((desk.folder / "pid0").read_text()))
    assert not desk.board.questions[0].claimed


def running(pid: int) -> bool:
    try:
        with open(f"/proc/{pid}/stat") as file:  # noqa: PTH123
            return file.read().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


async def test_while_a_client_attends_nothing_is_asked(desk: Desk) -> None:
    desk.answers("right")
    desk.board.attend("terminal", {"db"})
    desk.post()
    async with desk.asking():
        for _ in range(20):
            await asyncio.sleep(0)
        assert desk.shown == []
        desk.board.disconnect("terminal")
        await until(lambda: not desk.board.questions)


async def test_a_program_that_is_preferred_is_asked_beside_a_client(desk: Desk) -> None:
    desk.answers("right")
    desk.board.attend("terminal", {"db"})
    desk.post()
    async with desk.asking(preferred=True):
        await until(lambda: not desk.board.questions)


async def test_a_question_that_a_client_has_claimed_is_left_to_it(desk: Desk) -> None:
    desk.answers("right")
    desk.board.claim("dashboard", desk.post())
    async with desk.asking():
        for _ in range(20):
            await asyncio.sleep(0)
        assert desk.shown == []
        desk.board.disconnect("dashboard")
        await until(lambda: not desk.board.questions)


async def test_a_login_starts_with_consent_and_its_prompts_follow(desk: Desk) -> None:
    desk.answers("", "secret", "123456", "654321")
    desk.rest()
    async with desk.asking():
        await until(lambda: desk.retried == ["db"])
        dialog, answers = await desk.log_in()
        assert answers == [b"secret", b"123456"]
        answer = await dialog.ask(Kind.CODES, f"{HOP} asks again", CODES[1:], deadline=9.0)
        assert [each.reveal() for each in answer] == [b"654321"]
        dialog.succeeded()
    assert desk.board.questions == ()
    assert desk.shown == [
        f"confirm|{HOP} asks for a code. Log in now?",
        f"|{HOP} asks\nPassword:",
        f"|{HOP} asks\nCode:",
        f"|{HOP} asks again\nCode:",
    ]


async def test_without_consent_no_login_starts(desk: Desk) -> None:
    desk.rest()
    async with desk.asking():
        await until(lambda: len(desk.shown) == 1)
        desk.post()
        await until(lambda: len(desk.shown) == 2)
    assert desk.retried == []


async def test_a_cancelled_prompt_ends_the_login_and_is_not_repeated(desk: Desk) -> None:
    desk.answers("")
    desk.rest()
    async with desk.asking():
        await until(lambda: desk.retried == ["db"])
        with pytest.raises(AnswerNeededError, match="declined"):
            await desk.log_in()
        desk.board.dialog(HOP, "db").ended()
        desk.post()
        await until(lambda: len(desk.shown) == 3)
    assert [text.partition("|")[0] for text in desk.shown] == ["confirm", "", ""]


async def test_a_refused_answer_is_followed_by_no_other_login(desk: Desk) -> None:
    desk.answers("", "secret", "123456", "")
    desk.rest()
    async with desk.asking():
        await until(lambda: desk.retried == ["db"])
        dialog, _ = await desk.log_in()
        dialog.ended("the server refused the answer")
        desk.post()
        await until(lambda: len(desk.shown) == 4)
    assert desk.shown[3].endswith("'/k':")
    assert desk.retried == ["db"]


async def test_a_program_that_cannot_be_started_is_logged_once(desk: Desk) -> None:
    desk.program.unlink()
    desk.post()
    async with desk.asking():
        await until(lambda: desk.log)
    assert desk.log == [f"{desk.program} cannot be started: No such file or directory"]


async def test_the_environment_decides_whether_a_program_asks(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk.answers("right")
    monkeypatch.setenv("SSH_ASKPASS", str(desk.program))
    monkeypatch.setenv("SSH_ASKPASS_REQUIRE", "force")
    desk.post()
    async with asyncio.TaskGroup() as tasks, asking_by_program(desk.board, tasks, desk.log.append):
        await until(lambda: not desk.board.questions)
    monkeypatch.setenv("SSH_ASKPASS_REQUIRE", "never")
    desk.post()
    async with asyncio.TaskGroup() as tasks, asking_by_program(desk.board, tasks, desk.log.append):
        for _ in range(20):
            await asyncio.sleep(0)
    assert len(desk.shown) == 1
