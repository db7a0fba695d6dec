"""Programs that print answers: what they get, what is taken from them, and how they fail."""

from __future__ import annotations

import asyncio
import errno
import os
from typing import TYPE_CHECKING

import pytest

from tests.questions.source_log import Lines
from tunnelkeeper.core.configuration import Host
from tunnelkeeper.core.questions import MAX_ANSWER_SIZE
from tunnelkeeper.questions.answer_commands import AnswerCommands
from tunnelkeeper.questions.printed_answer import MAX_STDERR_LINES, PrintedAnswer
from tunnelkeeper.questions.sources import HopKey, SourceError

if TYPE_CHECKING:
    from pathlib import Path

KEY = HopKey("ann@db.example:22")
TOKENS = {"h": "db.example", "n": "db", "p": "22", "r": "ann", "k": "db"}


def host(*words: str) -> Host:
    """Return a host whose commands are the same."""
    return Host(
        "db", "db.example", "ann", passphrase_command=words, password_command=words, tokens=TOKENS
    )


def shell(script: str, *arguments: str) -> Host:
    return host("/bin/sh", "-c", script.replace("%", "%%"), "sh", *arguments)


async def password(of: Host, lines: Lines | None = None) -> bytes:
    found = await AnswerCommands().password(of, KEY, lines or Lines())
    assert found is not None
    assert found.source == "password_command"
    return found.secret.reveal()


async def problem_of(of: Host, lines: Lines | None = None) -> str:
    with pytest.raises(SourceError) as failed:
        await AnswerCommands().password(of, KEY, lines or Lines())
    return str(failed.value)


async def test_without_a_command_there_is_no_answer() -> None:
    commands = AnswerCommands()
    assert await commands.password(Host("db", "db", "ann"), KEY, Lines()) is None
    assert await commands.passphrase(Host("db", "db", "ann"), "/key", Lines()) is None


@pytest.mark.parametrize(
    ("script", "answer"),
    [
        ("echo secret", b"secret"),
        ("printf secret", b"secret"),
        ("printf ' a b \\r\\nmore\\n'", b" a b "),
        ("printf '\\303\\251\\377\\n'", b"\xc3\xa9\xff"),
        ("echo secret; yes | head -c 500000", b"secret"),
        ("sleep 600 & echo secret", b"secret"),
    ],
)
async def test_the_first_line_of_the_output_is_the_answer(script: str, answer: bytes) -> None:
    assert await password(shell(script)) == answer


async def test_tokens_are_expanded_in_the_arguments() -> None:
    words = ("%r@%h:%p", "%n %k", "100%%")
    assert await password(shell('echo "$1,$2,$3"', *words)) == b"ann@db.example:22,db db,100%"
    found = await AnswerCommands().passphrase(shell('echo "$1"', "%f"), "/keys/a b", Lines())
    assert found is not None
    assert found.secret.reveal() == b"/keys/a b"
    assert found.source == "passphrase_command"


async def test_no_shell_reads_the_words(tmp_path: Path) -> None:
    program = tmp_path / "print words"
    program.write_text("#!/bin/sh\nprintf '%s|' \"$@\"\n")
    program.chmod(0o700)
    assert await password(host(str(program), "$HOME;x", "a b")) == b"$HOME;x|a b|"


@pytest.mark.parametrize(
    ("script", "reason"),
    [
        ("exit 3", "exit status 3"),
        ("echo secret; echo why >&2; exit 1", "exit status 1: why"),
        ("kill -KILL $$", "it was ended by signal 9"),
        ("true", "the first line of its output is empty"),
        ("printf '\\nsecret\\n'", "the first line of its output is empty"),
        ("printf '\\r\\n'", "the first line of its output is empty"),
        (
            f"head -c {MAX_ANSWER_SIZE + 1} /dev/zero",
            f"the first line of its output has more than {MAX_ANSWER_SIZE} bytes",
        ),
        ("head -c 1000000 /dev/zero", "bytes"),
    ],
)
async def test_a_failure_is_named_without_the_output(script: str, reason: str) -> None:
    problem = await problem_of(shell(script))
    assert problem.startswith("password_command of db failed: ")
    assert problem.endswith(reason)
    assert "secret" not in problem


async def test_a_program_that_cannot_be_started_is_named() -> None:
    assert "/no/such/program cannot be started: No such file" in await problem_of(
        host("/no/such/program")
    )
    assert "cannot be started" in await problem_of(host("/bin/echo", "a\0b"))
    assert "unknown token %f" in await problem_of(host("/bin/echo", "%f"))


async def test_a_program_that_takes_too_long_is_ended() -> None:
    with pytest.raises(SourceError, match=r"it took more than 0\.2 s"):
        await AnswerCommands(timeout=0.2).password(shell("sleep 600"), KEY, Lines())


async def test_a_machine_without_resources_is_no_failed_program(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def fail(*_: object, **_options: object) -> None:
        raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))

    monkeypatch.setattr(PrintedAnswer, "start", fail)
    with pytest.raises(OSError, match="Too many open files"):
        await password(shell("echo secret"))


async def test_the_standard_error_is_logged_and_the_output_is_not() -> None:
    lines = Lines()
    script = "echo secret; printf 'a \\33[2J\\n' >&2; for i in $(seq 100); do echo $i >&2; done"
    assert await password(shell(script), lines) == b"secret"
    assert lines.infos[0] == "password_command: a \\x1b[2J"
    assert len(lines.infos) == MAX_STDERR_LINES
    assert lines.infos[-1].endswith("(further output is not logged)")
    assert "secret" not in str(lines)


async def test_the_environment_is_that_of_a_hook(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NOTIFY_SOCKET", "/run/notify")
    monkeypatch.setenv("STORE", "/store")
    assert await password(shell('echo "$NOTIFY_SOCKET,$STORE"')) == b",/store"


async def test_no_input_reaches_the_program() -> None:
    assert await password(shell("cat; echo end")) == b"end"


async def test_for_one_hop_one_program_runs_at_a_time(tmp_path: Path) -> None:
    folder = tmp_path / "running"
    script = 'mkdir "$1" || exit 1; sleep 0.05; rmdir "$1"; echo secret'
    commands = AnswerCommands()
    async with asyncio.TaskGroup() as tasks:
        runs = [
            tasks.create_task(commands.password(shell(script, str(folder)), KEY, Lines()))
            for _ in range(3)
        ]
    assert [run.result() is not None for run in runs] == [True] * 3


async def test_cancelling_ends_the_program(tmp_path: Path) -> None:
    started = tmp_path / "pid"
    os.mkfifo(started)
    script = 'echo $$ > "$1"; exec sleep 600'
    task = asyncio.TaskGroup()
    async with task:
        run = task.create_task(AnswerCommands().password(shell(script, str(started)), KEY, Lines()))
        pid = int(await asyncio.to_thread(started.read_text))
        run.cancel()
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)
