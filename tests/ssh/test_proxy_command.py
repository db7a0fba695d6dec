from __future__ import annotations

import asyncio
import shlex
import signal
import sys
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING

import psutil
import pytest

from tests.ssh.waiting import until
from tunnelkeeper.net.child_process import LINE_LIMIT
from tunnelkeeper.net.fd_limits import inherited
from tunnelkeeper.ssh import proxy_command
from tunnelkeeper.ssh.proxy_command import KEPT_STDERR_LINES, ProxyCommand

if TYPE_CHECKING:
    import socket
    from collections.abc import AsyncIterator
    from pathlib import Path


@asynccontextmanager
async def run_proxy_command(
    command: str,
) -> AsyncIterator[tuple[ProxyCommand, socket.socket, list[str]]]:
    """Run a proxy command; yield it, our socket of its socket pair, and its log lines."""
    messages: list[str] = []
    process, sock = await ProxyCommand.run(command, messages.append)
    try:
        yield process, sock, messages
    finally:
        await process.terminate()
        sock.close()
        await process.exited.wait()


def python(program: str) -> str:
    return f"{shlex.quote(sys.executable)} -c {shlex.quote(program)}"


async def receive(sock: socket.socket, size: int) -> bytes:
    received = b""
    async with asyncio.timeout(10):
        while len(received) < size:
            received += await asyncio.get_running_loop().sock_recv(sock, size)
    return received


async def test_the_commands_input_and_output_are_the_socket() -> None:
    async with run_proxy_command("cat") as (_, sock, messages):
        await asyncio.get_running_loop().sock_sendall(sock, b"SSH-2.0-x\r\n")

        assert await receive(sock, 11) == b"SSH-2.0-x\r\n"
        assert messages == []


async def test_a_command_is_run_by_the_users_shell(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    shell = tmp_path / "my-shell"
    shell.write_text('#!/bin/sh\necho "$1 $2"\n')
    shell.chmod(0o700)
    monkeypatch.setenv("SHELL", str(shell))

    async with run_proxy_command("nc relay 22") as (_, sock, _):
        assert await receive(sock, 19) == b"-c exec nc relay 22"


async def test_without_a_user_shell_sh_runs_the_command(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SHELL", raising=False)
    async with run_proxy_command("printf %s $((40 + 2))") as (_, sock, _):
        assert await receive(sock, 2) == b"42"


async def test_a_failed_start_is_an_os_error_and_leaks_no_descriptor(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with run_proxy_command("cat"):  # the event loop opens its descriptors for processes now
        pass
    monkeypatch.setenv("SHELL", "/no/such/shell")
    before = psutil.Process().num_fds()
    with pytest.raises(FileNotFoundError):
        await ProxyCommand.run("cat", print)

    assert psutil.Process().num_fds() == before


async def test_standard_error_is_logged_line_by_line() -> None:
    program = "printf 'first\\nsec' >&2; printf 'ond\\n\\n' >&2; printf 'no end' >&2"
    async with run_proxy_command(f"sh -c {shlex.quote(program)}") as (process, _, messages):
        await until(lambda: len(messages) == 3)

        assert messages == ["first", "second", "no end"]
        assert list(process.stderr_lines) == messages


async def test_standard_error_is_made_printable() -> None:
    async with run_proxy_command("printf '\\033[2J\\377\\n' >&2") as (_, _, messages):
        await until(lambda: messages)

        assert messages == ["\\x1b[2J\N{REPLACEMENT CHARACTER}"]


async def test_an_endless_line_is_split() -> None:
    process = ProxyCommand(lambda _: None)
    for _ in range(3):
        process.pipe_data_received(2, b"x" * (LINE_LIMIT // 2 + 1))

    assert len(process._stderr._partial) <= LINE_LIMIT
    assert len(process.stderr_lines) == 1


async def test_only_the_last_lines_are_kept() -> None:
    process = ProxyCommand(lambda _: None)
    process.pipe_data_received(2, b"".join(b"%d\n" % number for number in range(20)))

    assert list(process.stderr_lines) == [
        str(number) for number in range(20 - KEPT_STDERR_LINES, 20)
    ]


@pytest.mark.parametrize(
    ("command", "outcome"),
    [
        ("true", "the proxy command ended with exit status 0"),
        ("echo 'no route' >&2; exit 3", "the proxy command ended with exit status 3: no route"),
        ("kill -9 $$", "the proxy command was ended by signal 9"),
    ],
)
async def test_the_exit_description_has_the_status_and_the_last_line(
    command: str, outcome: str
) -> None:
    async with run_proxy_command(f"sh -c {shlex.quote(command)}") as (process, _, _):
        assert await process.describe_exit() == outcome


async def test_a_command_that_runs_after_closing_its_output_is_not_awaited(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(proxy_command, "EXIT_TIMEOUT", 0.02)
    async with run_proxy_command("cat") as (process, _, _):
        assert await process.describe_exit() == "the proxy command closed its output"


async def test_closing_a_command_ends_its_children(tmp_path: Path) -> None:
    pid_file = tmp_path / "child"
    program = f"sleep 60 & echo $! > {shlex.quote(str(pid_file))}; wait"
    async with run_proxy_command(f"sh -c {shlex.quote(program)}"):
        child = int(await until(lambda: pid_file.exists() and pid_file.read_text()))

    await until(lambda: not is_alive(child))


async def test_a_command_that_ignores_sigterm_is_killed() -> None:
    program = "trap '' TERM; sleep 60 & echo $! $$; while :; do wait; done"
    async with run_proxy_command(f"sh -c {shlex.quote(program)}") as (_, sock, _):
        pids = [int(pid) for pid in (await receive_line(sock)).split()]

    assert not any(map(is_alive, pids))


async def test_a_command_has_time_to_clean_up(tmp_path: Path) -> None:
    mark = shlex.quote(str(tmp_path / "cleaned"))
    program = f"trap 'sleep 0.1; echo > {mark}; exit' TERM; echo; while :; do sleep 9 & wait; done"
    async with run_proxy_command(f"sh -c {shlex.quote(program)}") as (_, sock, _):
        await receive_line(sock)

    assert (tmp_path / "cleaned").exists()


async def test_a_child_of_a_command_that_has_exited_is_ended() -> None:
    program = "sleep 60 & echo $!; exit"
    async with run_proxy_command(f"sh -c {shlex.quote(program)}") as (process, sock, _):
        child = int(await receive_line(sock))
        await process.exited.wait()

    assert not is_alive(child)


async def test_cancelling_the_termination_kills_at_once() -> None:
    program = "trap '' TERM; echo; while :; do sleep 60; done"
    async with run_proxy_command(f"sh -c {shlex.quote(program)}") as (process, sock, _):
        await receive_line(sock)
        async with asyncio.TaskGroup() as tasks:
            ending = tasks.create_task(process.terminate())
            await asyncio.sleep(0)
            ending.cancel()
        await process.exited.wait()

        assert process.returncode is None  # it was not waited for


@pytest.mark.parametrize("name", ["SIGPIPE", "SIGXFSZ"])
async def test_a_command_starts_with_the_default_action_of_signals(name: str) -> None:
    number = signal.Signals[name]
    assert signal.getsignal(number) is signal.SIG_IGN  # Python does this
    async with run_proxy_command("grep SigIgn /proc/self/status >&2") as (_, _, messages):
        await until(lambda: messages)

        assert not int(messages[0][-16:], 16) & (1 << (number - 1))


async def test_ending_a_command_twice_or_after_its_end_is_no_error() -> None:
    async with run_proxy_command("true") as (process, _, _):
        await process.describe_exit()
        await process.terminate()
        await process.terminate()


def is_alive(pid: int) -> bool:
    with suppress(psutil.NoSuchProcess):
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    return False


async def receive_line(sock: socket.socket) -> bytes:
    line = b""
    while not line.endswith(b"\n"):
        line += await receive(sock, 1)
    return line


async def test_a_command_gets_the_descriptor_limit_that_we_inherited() -> None:
    async with run_proxy_command("sh -c 'ulimit -n >&2; cat'") as (_, _, messages):
        await until(lambda: messages)

        assert messages == [str(inherited().soft)]
