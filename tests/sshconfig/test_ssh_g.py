"""What is asked of the real ssh, and what it answers to real files."""

import asyncio
import getpass
import os
import select
from pathlib import Path

import pytest

from tunnelkeeper.sshconfig import Answer, Request, SshConfigError, SshQuery, ssh_is_installed
from tunnelkeeper.sshconfig.ssh_g import command_line

pytestmark = pytest.mark.usefixtures("ssh")


async def ask(folder: Path, text: str, request: Request) -> Answer:
    """What ssh says of a host with this text as its ssh_config."""
    path = folder / "ssh_config"
    path.write_text(text)
    source = Request(request.host, request.user, request.port, str(path), request.jumps)
    return await SshQuery()(source)


def test_the_host_stands_where_it_cannot_be_an_option() -> None:
    assert command_line(Request("relay")) == ["ssh", "-G", "-N", "--", "relay"]


def test_all_of_a_request_is_on_the_command_line() -> None:
    request = Request(
        "relay", "ann", 24, source=False, jumps=False, options=(("Ciphers", "+aes128-ctr"),)
    )

    assert command_line(request, "/bin/ssh") == [
        *("/bin/ssh", "-G", "-N", "-F", "none", "-l", "ann", "-p", "24"),
        *("-o", "ProxyJump=none", "-o", "Ciphers=+aes128-ctr", "--", "relay"),
    ]


async def test_ssh_answers_without_any_file() -> None:
    answer = await SshQuery()(Request("relay", source=False))

    assert answer["hostname"] == ["relay"]
    assert answer["user"] == [getpass.getuser()]
    assert answer["port"] == ["22"]
    assert ssh_is_installed()


async def test_include_and_wildcards_mean_what_they_mean_to_ssh(tmp_path: Path) -> None:
    (tmp_path / "more").write_text("Host re*\n  Port 2222\n")
    text = f"Include {tmp_path}/mo*\nHost * !relay\n  User nobody\nHost relay\n  User ann\n"
    answer = await ask(tmp_path, text, Request("relay"))

    assert (answer["port"], answer["user"]) == (["2222"], ["ann"])


async def test_match_sees_the_host_the_user_and_the_outcome_of_a_command(tmp_path: Path) -> None:
    text = """\
Match host relay user bob
  Port 1
Match host relay exec "test %h = relay"
  HostKeyAlias yes
Match exec false
  HostKeyAlias no
"""
    answer = await ask(tmp_path, text, Request("relay", user="bob"))

    assert (answer["port"], answer["hostkeyalias"]) == (["1"], ["yes"])


async def test_a_canonical_name_needs_no_name_server_where_the_name_is_full(
    tmp_path: Path,
) -> None:
    text = """\
CanonicalizeHostname yes
CanonicalDomains example.invalid
CanonicalizeMaxDots 0
Match canonical host 127.0.0.1
  Port 2222
"""
    answer = await ask(tmp_path, text, Request("127.0.0.1"))

    assert answer["port"] == ["2222"]


async def test_a_jump_host_that_is_not_asked_for_is_not_answered(tmp_path: Path) -> None:
    text = "Host relay\n  ProxyJump relay\n"

    assert "proxyjump" not in await ask(tmp_path, text, Request("relay", jumps=False))


async def test_a_jump_to_itself_is_refused_in_the_words_of_ssh(tmp_path: Path) -> None:
    with pytest.raises(SshConfigError, match="jumphost loop via relay"):
        await ask(tmp_path, "ProxyJump relay\n", Request("relay"))


async def test_a_mistake_in_the_file_is_told_with_its_line_and_the_command_to_see_it(
    tmp_path: Path,
) -> None:
    with pytest.raises(SshConfigError) as caught:
        await ask(tmp_path, "Port 22\nPort x\x1b[2J\n", Request("relay"))

    assert "line 2" in caught.value.message
    assert caught.value.message.isprintable()
    assert f"ssh -G -N -F {tmp_path}/ssh_config -- relay" in caught.value.hint
    assert not caught.value.temporary


async def test_a_missing_file_is_an_error() -> None:
    with pytest.raises(SshConfigError, match="/nonexistent/file: No such file"):
        await SshQuery()(Request("relay", source="/nonexistent/file"))


async def test_a_list_of_algorithms_that_ssh_does_not_know_is_an_error() -> None:
    request = Request("relay", source=False, options=(("Ciphers", "+rot13"),))

    with pytest.raises(SshConfigError, match="Bad SSH2 cipher spec"):
        await SshQuery()(request)


async def test_a_command_that_takes_too_long_is_given_up(tmp_path: Path) -> None:
    path = tmp_path / "ssh_config"
    path.write_text('Match exec "sleep 60; true"\n  Port 1\n')

    with pytest.raises(SshConfigError, match=r"more than 0\.1 s") as caught:
        await SshQuery(timeout=0.1)(Request("relay", source=str(path)))

    assert caught.value.temporary
    assert "-v" in caught.value.hint


@pytest.mark.skipif(not hasattr(os, "pidfd_open"), reason="needs Linux")
async def test_ssh_is_ended_with_the_commands_it_runs(tmp_path: Path) -> None:
    path, started = tmp_path / "ssh_config", tmp_path / "started"
    os.mkfifo(started)
    path.write_text(f'Match exec "echo $$ > {started}; sleep 60; true"\n  Port 1\n')
    async with asyncio.TaskGroup() as tasks:
        asking = tasks.create_task(SshQuery(timeout=60)(Request("relay", source=str(path))))
        pid = int(await asyncio.to_thread(started.read_text))
        asking.cancel()

    assert ends_within(5, pid)


def ends_within(seconds: float, pid: int) -> bool:
    try:
        process = os.pidfd_open(pid)
    except ProcessLookupError:
        return True
    with os.fdopen(process) as waitable:
        return bool(select.select([waitable], [], [], seconds)[0])


async def test_a_program_that_is_not_there_is_named() -> None:
    with pytest.raises(SshConfigError, match="cannot run /nonexistent/ssh: No such file"):
        await SshQuery("/nonexistent/ssh")(Request("relay"))


async def test_silence_of_ssh_is_told_by_its_exit_status() -> None:
    with pytest.raises(SshConfigError, match="exit status 1"):
        await SshQuery("false")(Request("relay"))


async def test_a_name_that_cannot_be_resolved_may_pass(tmp_path: Path) -> None:
    program = tmp_path / "ssh"
    program.write_text("#!/bin/sh\necho 'ssh: Could not resolve host \"x\"' >&2\nexit 255\n")
    program.chmod(0o755)

    with pytest.raises(SshConfigError) as caught:
        await SshQuery(str(program))(Request("x"))

    assert caught.value.temporary
