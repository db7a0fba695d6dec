"""Questions that are answered in the dashboard, over a real control socket."""

from __future__ import annotations

import asyncio
import gc
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import pytest

from tests.control.fakes import FakeSupervisor
from tests.dashboard.fake_terminal import DashboardTerminal, running_dashboard
from tests.dashboard.sample_model import ALL
from tunnelkeeper.control.server import ControlServer
from tunnelkeeper.core.questions import Kind, Prompt, Subject
from tunnelkeeper.dashboard.answering import AnswerField
from tunnelkeeper.questions.login_dialog import AnswerNeededError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Sequence
    from pathlib import Path

    from tunnelkeeper.core.secret import Secret

KEY = "/home/me/.ssh/id_ed25519"
HOP = "me@bank.example:22"
PASTE_BEGIN, PASTE_END = "\x1b[200~", "\x1b[201~"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "run" / "control.sock"


@asynccontextmanager
async def connected_dashboard(
    path: Path,
) -> AsyncIterator[tuple[DashboardTerminal, FakeSupervisor]]:
    fake = FakeSupervisor(*ALL)
    async with (
        asyncio.TaskGroup() as tasks,
        ControlServer(path, fake).serving(tasks),
        running_dashboard(path) as terminal,
    ):
        await terminal.wait_for("stuck", "following")
        yield terminal, fake


def ask_for_passphrase(fake: FakeSupervisor, right: bytes = b"right") -> list[bytes]:
    """Ask for the passphrase of a key. Return the list of what is answered."""
    answered: list[bytes] = []

    async def check(answers: Sequence[Secret]) -> str:
        answered.append(answers[0].reveal())
        return "" if answered[-1] == right else "wrong passphrase"

    fake.questions.post(
        Subject(Kind.PASSPHRASE, KEY),
        f"the key {KEY} is encrypted",
        [Prompt("Passphrase:")],
        check,
        tunnel="stuck",
    )
    return answered


async def wait_until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not condition():  # noqa: ASYNC110
            await asyncio.sleep(0.01)


async def test_a_passphrase_is_asked_until_it_is_right(path: Path) -> None:
    async with connected_dashboard(path) as (terminal, fake):
        answered = ask_for_passphrase(fake)
        await terminal.wait_for("1 question: press A")
        terminal.press("A")
        await terminal.wait_for(KEY, "Passphrase:", "Esc decline")
        terminal.press("wrong\r")
        await terminal.wait_for("Wrong passphrase", "Passphrase:")
        terminal.press("right\r")
        await terminal.wait_for("The answer was accepted.")
        terminal.press("\r")
        await terminal.wait_until(lambda text: "accepted" not in text, "closed")

    assert answered == [b"wrong", b"right"]
    assert "right" not in terminal.output.getvalue()


async def test_keys_typed_at_once_answer_and_reach_no_tunnel(path: Path) -> None:
    async with connected_dashboard(path) as (terminal, fake):
        answered = ask_for_passphrase(fake, "xsr\xa0Ré:/".encode())
        await terminal.wait_for("press A")
        terminal.press("Axsr\xa0Ré:/\rxsr")
        await terminal.wait_for("The answer was accepted.")
        assert fake.requests == []

    assert answered == ["xsr\xa0Ré:/".encode()]


async def test_a_paste_is_one_answer_and_sends_nothing(path: Path) -> None:
    async with connected_dashboard(path) as (terminal, fake):
        answered = ask_for_passphrase(fake, b"from the vault")
        await terminal.wait_for("press A")
        terminal.press(f"A{PASTE_BEGIN}from the vault\r\n{PASTE_END}")
        await terminal.wait_for("•" * len("from the vault"))
        assert answered == []
        terminal.press("\r")
        await terminal.wait_for("The answer was accepted.")

    assert answered == [b"from the vault"]
    assert "vault" not in terminal.output.getvalue()


@pytest.mark.parametrize("keys", ["\x18(A", "A\x18("])
async def test_prompt_toolkit_keeps_nothing_that_is_typed(path: Path, keys: str) -> None:
    async with connected_dashboard(path) as (terminal, fake):
        ask_for_passphrase(fake, b"hunter2")
        await terminal.wait_for("press A")
        terminal.press(keys)
        await terminal.wait_for("Passphrase:")
        terminal.press("\x15hunter2")
        await terminal.wait_for("•" * 7)
        app = terminal.dashboard.app
        kept = [app.clipboard.get_data().text, repr(app.emacs_state.current_recording)]
        kept += [repr(app.emacs_state.macro), terminal.dashboard._input_buffer.text]
        assert not any("hunter2" in text or "'h'" in text for text in kept)
        terminal.press("\r")
        await terminal.wait_for("The answer was accepted.")
        fields = [each for each in gc.get_objects() if isinstance(each, AnswerField)]
        assert not any(fields)


async def test_a_character_typed_with_alt_is_dropped(path: Path) -> None:
    async with connected_dashboard(path) as (terminal, fake):
        ask_for_passphrase(fake)
        await terminal.wait_for("press A")
        terminal.press("A\x1bx\x1bbright\r")
        await terminal.wait_for("The answer was accepted.")
        assert fake.requests == []


async def test_escape_releases_the_claim(path: Path) -> None:
    async with connected_dashboard(path) as (terminal, fake):
        ask_for_passphrase(fake)
        await terminal.wait_for("press A")
        terminal.press("A")
        await wait_until(lambda: fake.questions.questions[0].claimed)
        terminal.press("x\x1b")
        await terminal.wait_for("not answered")
        await wait_until(lambda: not fake.questions.questions[0].claimed)
        assert fake.requests == []


async def test_leaving_the_dashboard_releases_the_claim(path: Path) -> None:
    fake = FakeSupervisor(*ALL)
    async with asyncio.TaskGroup() as tasks, ControlServer(path, fake).serving(tasks):
        ask_for_passphrase(fake)
        async with running_dashboard(path) as terminal:
            await terminal.wait_for("press A")
            terminal.press("A")
            await wait_until(lambda: fake.questions.questions[0].claimed)
        await wait_until(lambda: not fake.questions.questions[0].claimed)


async def test_an_answer_of_another_client_is_noticed(path: Path) -> None:
    async with connected_dashboard(path) as (terminal, fake):
        ask_for_passphrase(fake)
        await terminal.wait_for("press A")
        terminal.press("A")
        await terminal.wait_for("Passphrase:")
        fake.questions.withdraw(Subject(Kind.PASSPHRASE, KEY))
        await terminal.wait_for("answered by another client", "Enter closes this")


async def test_a_supervisor_that_ends_closes_the_question(path: Path) -> None:
    fake = FakeSupervisor(*ALL)
    async with running_dashboard(path) as terminal:
        async with asyncio.TaskGroup() as tasks, ControlServer(path, fake).serving(tasks):
            ask_for_passphrase(fake)
            await terminal.wait_for("press A")
            terminal.press("A")
            await wait_until(lambda: fake.questions.questions[0].claimed)
            terminal.press("secret")
            await terminal.wait_for("••••••")
        await terminal.wait_until(
            lambda text: "supervisor is gone" in text or "no supervisor" in text.lower(), "gone"
        )
        terminal.press("\r")
        await terminal.wait_for("supervisor disconnected", "u start")


async def test_a_resting_login_starts_on_enter_and_asks_in_rounds(path: Path) -> None:
    async with connected_dashboard(path) as (terminal, fake), asyncio.TaskGroup() as tasks:
        board, received = fake.questions, list[list[bytes]]()
        logins: list[asyncio.Task[None]] = []

        async def log_in() -> None:
            dialog = board.dialog(HOP, "stuck")
            for prompts in ([Prompt("Password:")], [Prompt("Code:", echo=True), Prompt("PIN:")]):
                answers = await dialog.ask(Kind.CODES, f"{HOP} asks", prompts, board.now() + 90)
                received.append([answer.reveal() for answer in answers])
                for answer in answers:
                    answer.wipe()
            dialog.succeeded()

        board.retry = lambda _name: logins.append(tasks.create_task(log_in()))
        with pytest.raises(AnswerNeededError):
            board.dialog(HOP, "stuck").admit(Kind.CODES, f"{HOP} asks for an answer")
        await terminal.wait_for("press A")
        terminal.press("A")
        await terminal.wait_for("Log in now?", HOP)
        assert logins == []
        terminal.press("\r")
        await terminal.wait_for("Password:", "The login ends in")
        terminal.press("pw\r")
        await terminal.wait_for("Code:", "PIN:")
        terminal.press("123456\t99")
        await terminal.wait_for("Code: 123456", "PIN: ••")
        terminal.press("\r")
        await terminal.wait_for("The answer was accepted.")

    assert received == [[b"pw"], [b"123456", b"99"]]
