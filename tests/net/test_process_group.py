"""Groups of children: none of their members outlives this process, however it ends."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from contextlib import suppress
from typing import TYPE_CHECKING

import psutil
import pytest

from tests.ssh.waiting import until
from tunnelkeeper.net import process_group
from tunnelkeeper.net.child_process import LINE_LIMIT, ChildProcess, LineSplitter
from tunnelkeeper.net.process_group import ProcessGroup, ending_children, run_with_children

if TYPE_CHECKING:
    from pathlib import Path

DEAF = "trap '' TERM HUP INT; while :; do sleep 60; done"


class Program(ChildProcess):
    """A shell script, with the process ids that it prints."""

    def __init__(self) -> None:
        super().__init__()
        self.output = b""

    def pipe_data_received(self, fd: int, data: bytes) -> None:
        del fd
        self.output += data

    async def pids(self, count: int) -> list[int]:
        await until(lambda: len(self.output.split()) >= count)
        return [int(word) for word in self.output.split()]


async def run(script: str) -> Program:
    return await Program().start(["sh", "-c", script])


def is_alive(pid: int) -> bool:
    with suppress(psutil.NoSuchProcess):
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    return False


def group_has_ended(group: int) -> bool:
    with suppress(ProcessLookupError):
        os.killpg(group, 0)
        return all(p.status() == psutil.STATUS_ZOMBIE for p in members(group))
    return True


def members(group: int) -> list[psutil.Process]:
    found = []
    for process in psutil.process_iter():
        with suppress(ProcessLookupError, psutil.NoSuchProcess):
            if os.getpgid(process.pid) == group:
                found.append(process)
    return found


async def test_the_end_of_the_block_ends_running_and_left_behind_processes() -> None:
    async with ending_children():
        running = await run(f"{DEAF} & echo $!; {DEAF}")
        left = await run("sleep 60 & echo $!")
        await left.exited.wait()
        pids = [*await running.pids(1), *await left.pids(1)]
        assert all(map(is_alive, pids))
        left.detach()

    await running.exited.wait()
    await running.terminate()
    assert not any(map(is_alive, pids))


async def test_a_process_left_behind_runs_until_the_end_of_the_block() -> None:
    async with ending_children():
        program = await run("sleep 60 & echo $!")
        (pid,) = await program.pids(1)
        await program.exited.wait()
        program.detach()
        other = await run("true")
        await other.exited.wait()
        other.detach()

        assert is_alive(pid)
    assert not is_alive(pid)


async def test_a_group_is_forgotten_when_its_last_member_has_exited() -> None:
    program = await run("sleep 60 & echo $!")
    (pid,) = await program.pids(1)
    await program.exited.wait()
    program.detach()
    assert program._group in process_group._registry.groups()
    os.kill(pid, signal.SIGKILL)
    await until(lambda: not program._group or not program._group.is_alive)

    other = await run("true")
    await other.exited.wait()
    other.detach()

    assert program._group not in process_group._registry.groups()


async def test_an_id_that_a_new_process_has_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    program = await run("true")
    await program.exited.wait()
    program.detach()
    group = program._group
    assert group is not None
    group.id = os.getpid()  # as if the system had given the id to this process
    monkeypatch.setattr(os, "killpg", lambda *_: pytest.fail("a foreign group got a signal"))

    assert not group.is_alive
    await group.terminate()


PARENT = """
import asyncio, sys
from tunnelkeeper.net.child_process import ChildProcess
from tunnelkeeper.net.process_group import run_with_children

class Program(ChildProcess):
    def pipe_data_received(self, fd, data):
        print(data.decode(), end="", flush=True)

async def main():
    for script in sys.argv[1:]:
        await Program().start(["sh", "-c", script])
    await asyncio.sleep(600)

run_with_children(main())
"""


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_when_a_program_is_killed_nothing_of_its_children_is_left(number: signal.Signals) -> None:
    scripts = [f"echo $$; {DEAF}", "echo $$; sleep 60 & exit", "sleep 60 & echo $$; wait"]
    with subprocess.Popen(
        [sys.executable, "-c", PARENT, *scripts], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    ) as parent:
        assert parent.stdout is not None
        groups = [int(parent.stdout.readline()) for _ in scripts]
        assert all(map(members, groups))
        children = psutil.Process(parent.pid).children()

        parent.send_signal(number)
        parent.wait()

    asyncio.run(until(lambda: all(map(group_has_ended, groups))))
    asyncio.run(until(lambda: not any(child.is_running() for child in children)))


def test_a_guard_that_was_killed_is_replaced() -> None:
    async def main() -> None:
        program = await run("sleep 60")
        process = process_group._registry._guard._process
        assert process is not None
        os.kill(process.pid, signal.SIGKILL)
        await until(lambda: psutil.Process(process.pid).status() == psutil.STATUS_ZOMBIE)

        other = await run("true")
        await other.exited.wait()
        other.detach()

        replacement = process_group._registry._guard._process
        assert replacement is not None
        assert replacement.pid != process.pid
        await program.terminate()

    run_with_children(main())


def test_a_program_without_children_starts_no_guard() -> None:
    async def main() -> None:
        assert process_group._registry._guard._process is None
        assert not psutil.Process().children()

    run_with_children(main())


async def test_a_child_may_clean_up(tmp_path: Path) -> None:
    mark = tmp_path / "cleaned"
    program = await run(
        f"trap 'echo > {mark}; exit' TERM; echo $$; while :; do sleep 9 & wait; done"
    )
    await program.pids(1)

    await program.terminate()

    assert mark.exists()
    assert program.returncode is None
    await program.exited.wait()


async def test_a_group_with_its_leader_needs_no_look_at_all_processes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    program = await run("sleep 60")
    assert program._group is not None
    with monkeypatch.context() as patch:
        patch.setattr(process_group, "_are_zombies", lambda _: pytest.fail("it looked"))
        assert program._group.is_running
    await program.terminate()
    await program.exited.wait()


async def test_a_group_of_another_user_is_no_error(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_group: int, _number: int) -> None:
        raise PermissionError

    program = await run("sleep 60")
    with monkeypatch.context() as patch:
        patch.setattr(os, "killpg", refuse)
        patch.setattr(process_group, "POLL_INTERVALS", ())
        await program.terminate()  # the transport ends the leader
    await program.exited.wait()


def test_long_and_unfinished_lines_are_split() -> None:
    lines: list[bytes] = []
    splitter = LineSplitter(lines.append)

    splitter.feed(b"one\ntw")
    splitter.feed(b"o\n" + b"x" * (LINE_LIMIT + 1))
    splitter.feed(b"end")
    splitter.end()

    assert lines == [b"one", b"two", b"x" * (LINE_LIMIT + 1), b"end"]


def test_the_group_of_a_process_without_a_child_class() -> None:
    with subprocess.Popen(["sleep", "60"], start_new_session=True) as process:
        group = ProcessGroup(process.pid)

        assert group.send(signal.SIGTERM)
        process.wait()
        group.leader_exited()

        assert not group.is_alive
