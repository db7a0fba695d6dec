"""Logins with no one present: commands, credentials and the askpass program of the desktop."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.e2e.accounts import make_account
from tests.e2e.autossh_program import Autossh, own_autossh
from tests.e2e.keys import make_key, public
from tests.e2e.ports import free_port
from tests.e2e.sandbox import USER, host_table, socks_tunnel
from tests.e2e.services import echo
from tests.e2e.waiting import wait_until

if TYPE_CHECKING:
    from tests.e2e.program import Program
    from tests.e2e.sandbox import Sandbox

SECRET = "correct horse battery staple"

COMMAND = """#!/bin/sh
cd "$(dirname "$0")"
echo "$*" >> runs
echo "unlocking the store" >&2
cat secret
"""

ASKPASS = """#!/bin/sh
cd "$(dirname "$0")"
printf '%s|%s\\n--\\n' "$SSH_ASKPASS_PROMPT" "$1" >> shown
case "$SSH_ASKPASS_PROMPT|$1" in
confirm*) exit 0 ;;
*yes/no*) echo yes ;;
*) cat secret ;;
esac
"""


def script(sandbox: Sandbox, text: str, secret: str = SECRET) -> Path:
    """Write a program with its secret beside it."""
    folder = sandbox.subdirectory("store")
    (folder / "secret").write_text(f"{secret}\nmore\n")
    program = folder / "program"
    program.write_text(text)
    program.chmod(0o700)
    return program


def encrypted_key(sandbox: Sandbox) -> Path:
    """Return a key with a passphrase, which the servers accept."""
    key = make_key(sandbox.directory / "encrypted", passphrase=SECRET)
    with sandbox.authorized_keys.open("a") as file:
        file.write(public(key) + "\n")
    return key


def check_hidden(program: Program, *secrets: str) -> None:
    """Check that no output and no process shows a secret."""
    process = Path("/proc", str(program.status().supervisor.pid))
    texts = [program.log(), program.succeed("status", "--json")]
    texts += [(process / name).read_text() for name in ("environ", "cmdline")]
    for secret in secrets:
        assert not [text for text in texts if secret in text]


def test_a_password_command_logs_in_again_after_a_restart_of_the_server(sandbox: Sandbox) -> None:
    account = make_account(sandbox)
    server = sandbox.sshd(PasswordAuthentication="yes", PubkeyAuthentication="no")
    store = script(sandbox, COMMAND, account.password)
    command = f'password_command = ["{store}", "show", "%r@%h"]'
    program = sandbox.program(socks_tunnel("t", server.port, f'user = "{account.name}"', command))
    program.up()
    program.wait_until_up()
    server.kill()
    program.wait_for("t", lambda tunnel: tunnel.state not in {"up", "degraded"})
    server.start()
    program.succeed("restart", "t")
    program.wait_until_up()
    runs = (store.parent / "runs").read_text().splitlines()
    assert runs[:2] == [f"show {account.name}@127.0.0.1"] * 2
    assert "password_command: unlocking the store" in program.log()
    check_hidden(program, account.password)


def test_a_password_that_was_refused_is_not_sent_again(sandbox: Sandbox) -> None:
    account = make_account(sandbox)
    server = sandbox.sshd(PasswordAuthentication="yes", PubkeyAuthentication="no")
    store = script(sandbox, COMMAND, "stale")
    program = sandbox.program(
        socks_tunnel("t", server.port, f'user = "{account.name}"', f'password_command = "{store}"')
    )
    program.up()
    program.wait_for_state("t", "blocked", "answer_needed")
    program.succeed("restart", "t")
    program.wait_for_state("t", "blocked", "answer_needed")
    wait_until(lambda: len((store.parent / "runs").read_text().splitlines()) == 2)
    assert server.log().count("Failed password for") == 1
    (store.parent / "secret").write_text(account.password)
    program.succeed("restart", "t")
    program.wait_until_up()


@pytest.mark.parametrize("source", ["command", "credential"])
def test_an_encrypted_key_is_unlocked_with_no_one_present(sandbox: Sandbox, source: str) -> None:
    server = sandbox.sshd()
    key = encrypted_key(sandbox)
    store = script(sandbox, COMMAND)
    lines = [f'identity_files = "{key}"']
    if source == "command":
        lines.append(f'passphrase_command = ["{store}", "%f"]')
    program = sandbox.program(socks_tunnel("t", server.port, *lines))
    if source == "credential":
        folder = sandbox.subdirectory("credentials")
        (folder / f"passphrase-{key.name}").write_text(f"{SECRET}\n")
        program.environment["CREDENTIALS_DIRECTORY"] = str(folder)
    program.up()
    program.wait_until_up()
    if source == "command":
        assert (store.parent / "runs").read_text() == f"{key}\n"
    check_hidden(program, SECRET)


def test_the_program_of_the_desktop_asks_without_a_terminal(sandbox: Sandbox) -> None:
    server = sandbox.sshd(known=False)
    key = encrypted_key(sandbox)
    askpass = script(sandbox, ASKPASS)
    program = sandbox.program(
        socks_tunnel("t", server.port, f'identity_files = "{key}"', 'host_key_policy = "ask"')
    )
    program.environment |= {"SSH_ASKPASS": str(askpass), "DISPLAY": ":0"}
    program.up()
    program.wait_until_up()
    host_key, passphrase, rest = (askpass.parent / "shown").read_text().split("\n--\n")
    assert host_key.startswith("|")
    assert "SHA256:" in host_key
    assert passphrase == f"|Enter passphrase for key '{key}':"
    assert rest == ""
    check_hidden(program, SECRET)


def test_the_program_of_the_desktop_asks_before_a_login_and_during_it(sandbox: Sandbox) -> None:
    account = make_account(sandbox)
    server = sandbox.sshd(PasswordAuthentication="yes", PubkeyAuthentication="no")
    askpass = script(sandbox, ASKPASS, account.password)
    program = sandbox.program(socks_tunnel("t", server.port, f'user = "{account.name}"'))
    program.environment |= {"SSH_ASKPASS": str(askpass), "SSH_ASKPASS_REQUIRE": "force"}
    program.up()
    program.wait_until_up()
    hop = f"{account.name}@127.0.0.1:{server.port}"
    consent, password, rest = (askpass.parent / "shown").read_text().split("\n--\n")
    assert consent == f"confirm|{hop} asks for a password. Log in now?"
    assert password.startswith(f"|{hop} asks for a password")
    assert rest == ""
    check_hidden(program, account.password)


@pytest.mark.parametrize("command", ["connect", "autossh"])
def test_programs_without_a_supervisor_ask_with_it_too(sandbox: Sandbox, command: str) -> None:
    server = sandbox.sshd(known=False)
    service = sandbox.service(echo)
    askpass = script(sandbox, ASKPASS)
    environment = {"SSH_ASKPASS": str(askpass), "SSH_ASKPASS_REQUIRE": "force"}
    if command == "connect":
        lines = (f'identity_files = "{encrypted_key(sandbox)}"', 'host_key_policy = "ask"')
        program = sandbox.program(host_table("relay", server.port, *lines))
        program.environment |= environment
        assert program.succeed("connect", "relay", str(service)) == ""
    else:
        config = sandbox.directory / "ssh_config"
        config.write_text(
            f"Host relay\n HostName 127.0.0.1\n Port {server.port}\n User {USER}\n"
            f" IdentityFile {encrypted_key(sandbox)}\n IdentitiesOnly yes\n"
            f" UserKnownHostsFile {sandbox.known_hosts}\n"
        )
        port = free_port()
        line = ["-M", "0", "-F", str(config), "-N", "-L", f"{port}:{service}", "relay"]
        autossh = Autossh(own_autossh(sandbox.directory), sandbox.directory, line, environment)
        sandbox.add_cleanup(autossh.close)
        autossh.start()
        wait_until(lambda: server.logins() == 1, message=autossh.log)
    shown = (askpass.parent / "shown").read_text()
    assert shown.count("yes/no") == shown.count("Enter passphrase for key") == 1
