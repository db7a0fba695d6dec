"""Command lines for the real ssh, and its answers to real files."""

import asyncio
import getpass
import os
import select
from dataclasses import replace
from pathlib import Path

import pytest

from tunnelkeeper.sshconfig import Answer, Facts, Request, SshConfigError, SshQuery, obstacle_to_ssh
from tunnelkeeper.sshconfig.ssh_g import command_line

pytestmark = pytest.mark.usefixtures("ssh")


async def ask(folder: Path, text: str, request: Request) -> Answer:
    """Return the answer of ssh for a host, with a text as the ssh_config."""
    path = folder / "ssh_config"
    path.write_text(text)
    return await SshQuery()(replace(request, source=str(path)))


def test_the_host_follows_a_double_dash() -> None:
    assert command_line(Request("relay")) == ["ssh", "-G", "-N", "--", "relay"]


def test_the_command_line_contains_the_whole_request() -> None:
    request = Request(
        "relay", "ann", 24, False, "fe80::1%lo", "gate", (("Ciphers", "+aes128-ctr"),)
    )

    assert command_line(request, "/bin/ssh") == [
        *("/bin/ssh", "-G", "-N", "-F", "none", "-l", "ann", "-p", "24"),
        *("-o", "HostName=fe80::1%%lo", "-o", "ProxyJump=gate"),
        *("-o", "Ciphers=+aes128-ctr", "--", "relay"),
    ]


async def test_ssh_answers_without_any_file() -> None:
    answer = await SshQuery()(Request("relay", source=False))

    assert answer["hostname"] == ["relay"]
    assert answer["user"] == [getpass.getuser()]
    assert answer["port"] == ["22"]


def test_ssh_runs_only_if_it_is_installed_and_the_user_has_an_account(
    facts: Facts, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert obstacle_to_ssh(facts) is None
    assert "uid 1000" in (obstacle_to_ssh(replace(facts, has_account=False)) or "")
    monkeypatch.setenv("PATH", "/nonexistent")
    assert "not installed" in (obstacle_to_ssh(facts) or "")


async def test_include_and_wildcards_work_as_in_ssh(tmp_path: Path) -> None:
    (tmp_path / "more").write_text("Host re*\n  Port 2222\n")
    text = f"Include {tmp_path}/mo*\nHost * !relay\n  User other\nHost relay\n  User ann\n"
    answer = await ask(tmp_path, text, Request("relay"))

    assert (answer["port"], answer["user"]) == (["2222"], ["ann"])


async def test_match_sees_host_user_and_the_exit_status_of_a_command(tmp_path: Path) -> None:
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


async def test_a_fully_qualified_name_needs_no_name_server(
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


@pytest.mark.parametrize("text", ["ProxyJump relay\n", "ProxyCommand nc %h %p\n"])
async def test_no_jump_host_disables_both_directives_of_a_proxy(tmp_path: Path, text: str) -> None:
    answer = await ask(tmp_path, text, Request("relay", jump="none"))

    assert not {"proxyjump", "proxycommand"} & answer.keys()


async def test_a_requested_jump_host_precedes_that_of_ssh_config(tmp_path: Path) -> None:
    answer = await ask(tmp_path, "ProxyCommand nc %h %p\n", Request("relay", jump="a,u@b:2200"))

    assert answer["proxyjump"] == ["a,u@b:2200"]
    assert "proxycommand" not in answer


async def test_a_jump_to_itself_is_refused_with_the_message_of_ssh(tmp_path: Path) -> None:
    with pytest.raises(SshConfigError, match="jumphost loop via relay"):
        await ask(tmp_path, "ProxyJump relay\n", Request("relay"))


async def test_a_syntax_error_is_reported_with_its_line_and_the_command_to_reproduce_it(
    tmp_path: Path,
) -> None:
    with pytest.raises(SshConfigError) as error_info:
        await ask(tmp_path, "Port 22\nPort x\x1b[2J\n", Request("relay"))

    assert "line 2" in error_info.value.message
    assert error_info.value.message.isprintable()
    assert f"ssh -G -N -F {tmp_path}/ssh_config -- relay" in error_info.value.hint
    assert not error_info.value.temporary


async def test_a_missing_file_is_an_error() -> None:
    with pytest.raises(SshConfigError, match="/nonexistent/file: No such file"):
        await SshQuery()(Request("relay", source="/nonexistent/file"))


async def test_an_algorithm_unknown_to_ssh_is_an_error() -> None:
    request = Request("relay", source=False, options=(("Ciphers", "+rot13"),))

    with pytest.raises(SshConfigError, match="Bad SSH2 cipher spec"):
        await SshQuery()(request)


async def test_a_run_that_exceeds_the_timeout_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "ssh_config"
    path.write_text('Match exec "sleep 60; true"\n  Port 1\n')

    with pytest.raises(SshConfigError, match=r"more than 0\.1 s") as error_info:
        await SshQuery(timeout=0.1)(Request("relay", source=str(path)))

    assert error_info.value.temporary
    assert "-v" in error_info.value.hint


@pytest.mark.skipif(not hasattr(os, "pidfd_open"), reason="needs Linux")
async def test_a_timeout_kills_ssh_and_its_children(tmp_path: Path) -> None:
    path, started = tmp_path / "ssh_config", tmp_path / "started"
    os.mkfifo(started)
    path.write_text(f'Match exec "echo $$ > {started}; sleep 60; true"\n  Port 1\n')
    async with asyncio.TaskGroup() as tasks:
        requests = tasks.create_task(SshQuery(timeout=60)(Request("relay", source=str(path))))
        pid = int(await asyncio.to_thread(started.read_text))
        requests.cancel()

    assert ends_within(5, pid)


def ends_within(seconds: float, pid: int) -> bool:
    try:
        process = os.pidfd_open(pid)
    except ProcessLookupError:
        return True
    with os.fdopen(process) as waitable:
        return bool(select.select([waitable], [], [], seconds)[0])


async def test_a_missing_program_is_named() -> None:
    with pytest.raises(SshConfigError, match="cannot run /nonexistent/ssh: No such file"):
        await SshQuery("/nonexistent/ssh")(Request("relay"))


async def test_without_an_error_message_the_exit_status_is_reported() -> None:
    with pytest.raises(SshConfigError, match="exit status 1"):
        await SshQuery("false")(Request("relay"))


async def test_a_resolver_error_is_temporary(tmp_path: Path) -> None:
    program = tmp_path / "ssh"
    program.write_text("#!/bin/sh\necho 'ssh: Could not resolve host \"x\"' >&2\nexit 255\n")
    program.chmod(0o755)

    with pytest.raises(SshConfigError) as error_info:
        await SshQuery(str(program))(Request("x"))

    assert error_info.value.temporary


async def test_the_last_errors_of_ssh_are_kept(tmp_path: Path) -> None:
    text = "".join(f"Unknown{number:04}{'x' * 40} yes\n" for number in range(100))

    with pytest.raises(SshConfigError) as failed:
        await ask(tmp_path, text, Request("relay"))

    assert "unknown0099" in failed.value.message
    assert failed.value.message.endswith("terminating, 100 bad configuration options")
    assert len(failed.value.message) < 1100
