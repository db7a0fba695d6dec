"""Questions of real tunnels, answered on the terminal of the command that waits."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import TYPE_CHECKING

from tests.e2e.keys import fingerprint, make_key, public
from tests.e2e.program import COMMAND
from tests.e2e.sandbox import socks_tunnel
from tests.e2e.terminal import Terminal
from tests.e2e.waiting import wait_until

if TYPE_CHECKING:
    from tests.e2e.program import Program
    from tests.e2e.sandbox import Sandbox

SECRET = "correct horse battery staple"


def locked_key(sandbox: Sandbox) -> Path:
    """Return a key with a passphrase that the servers of the sandbox accept."""
    key = make_key(sandbox.directory / "encrypted", passphrase=SECRET)
    with sandbox.authorized_keys.open("a") as file:
        file.write(public(key) + "\n")
    return key


def run(sandbox: Sandbox, program: Program, *arguments: str) -> Terminal:
    """Run a command of the program in a terminal of 80x24."""
    terminal = Terminal(sandbox.directory / "tmux", 80, 24)
    sandbox.add_cleanup(terminal.close)
    terminal.run([*COMMAND, *arguments], program.environment)
    return terminal


def files_with(folder: Path, text: bytes) -> list[Path]:
    """Return the files below a folder that have a text, core dumps too."""
    files = [path for path in folder.rglob("*") if path.is_file() and not path.is_symlink()]
    return [path for path in files if text in path.read_bytes()]


def test_a_chain_of_unknown_hosts_and_a_locked_key_need_one_session(sandbox: Sandbox) -> None:
    key = locked_key(sandbox)
    jump, server = sandbox.sshd(known=False), sandbox.sshd(known=False)
    options = (f'jump = "127.0.0.1:{jump.port}"', f'identity_files = "{key}"')
    program = sandbox.program(socks_tunnel("db", server.port, *options))

    terminal = run(sandbox, program, "up", "--detach", "db")
    terminal.wait_for_text(fingerprint(jump.host_key), "Accept this key?")
    terminal.write("yes")
    terminal.press("Enter")
    terminal.wait_for_text(fingerprint(server.host_key), "Accept this key?")
    terminal.write(fingerprint(server.host_key))
    terminal.press("Enter")
    terminal.wait_for_text("Enter passphrase for key")
    terminal.write("wrong")
    terminal.press("Enter")
    terminal.wait_for_text("rong.")
    terminal.write(SECRET)
    terminal.press("Enter")
    screen = terminal.wait_for_text("up: db", "ended with 0")

    supervisor = Path("/proc", str(program.status().supervisor.pid))
    texts = [screen, program.log(), program.succeed("status", "--json"), program.succeed("logs")]
    texts += [(supervisor / name).read_text() for name in ("environ", "cmdline")]
    assert not [text for text in texts if "horse" in text]
    assert "no question is open" in program.succeed("questions")

    os.kill(int(supervisor.name), signal.SIGABRT)  # by default it leaves a core dump
    wait_until(lambda: not supervisor.exists(), message="the supervisor has not ended")
    assert files_with(sandbox.directory, b"horse") == []


def test_a_locked_key_is_forgotten_on_request(sandbox: Sandbox) -> None:
    key = locked_key(sandbox)
    server = sandbox.sshd()
    program = sandbox.program(socks_tunnel("db", server.port, f'identity_files = "{key}"'))
    program.up()
    program.wait_for_state("db", "blocked", "answer_needed")
    terminal = run(sandbox, program, "unlock", "db")
    terminal.wait_for_text("Enter passphrase for key")
    terminal.write(SECRET)
    terminal.press("Enter")
    terminal.wait_for_text("up: db", "ended with 0")
    program.succeed("restart", "db")
    program.wait_until_up("db")  # with the key in memory, no one is asked

    assert "forgotten: 1 key" in program.succeed("lock")
    program.run("restart", "db")
    program.wait_for_state("db", "blocked", "answer_needed")
    assert "tunnelkeeper unlock db" in program.succeed("questions")


def test_the_terminal_is_restored_when_the_supervisor_is_killed(sandbox: Sandbox) -> None:
    key = locked_key(sandbox)
    server = sandbox.sshd()
    table = socks_tunnel("db", server.port, f'identity_files = "{key}"')
    program = sandbox.program(table)
    program.up()
    program.wait_for_state("db", "blocked", "answer_needed")

    terminal = run(sandbox, program, "unlock", "db")
    terminal.wait_for_text("Enter passphrase for key")
    program.kill()
    terminal.wait_for_text("no supervisor is running", "ended with")
    terminal.write("shown again")
    terminal.wait_for_text("shown again")


def test_an_autossh_line_asks_as_ssh_does(sandbox: Sandbox) -> None:
    key = locked_key(sandbox)
    server = sandbox.sshd(known=False)
    program = sandbox.program()
    line = ["autossh", "-M", "0", "-i", str(key), "-p", str(server.port)]
    for option in (f"UserKnownHostsFile={sandbox.known_hosts}", "IdentitiesOnly=yes"):
        line += ["-o", option]
    terminal = run(sandbox, program, *line, "127.0.0.1", "echo", "reached", "$((6*7))")
    terminal.wait_for_text(fingerprint(server.host_key), "Accept this key?")
    terminal.write("yes")
    terminal.press("Enter")
    terminal.wait_for_text("Enter passphrase for key")
    terminal.write(SECRET)
    terminal.press("Enter")
    screen = terminal.wait_for_text("reached 42", "ended with 0")
    assert not [text for text in ("horse", "answer_needed", "refused") if text in screen]
    assert public(server.host_key) in sandbox.known_hosts.read_text()


def test_unlock_asks_only_about_the_tunnels_that_are_named(sandbox: Sandbox) -> None:
    server = sandbox.sshd()
    other = make_key(sandbox.directory / "other", passphrase="another")
    program = sandbox.program(
        socks_tunnel("web", server.port, f'identity_files = "{other}"'),
        socks_tunnel("db", server.port, f'identity_files = "{locked_key(sandbox)}"'),
    )
    with sandbox.authorized_keys.open("a") as file:
        file.write(public(other) + "\n")
    program.up()
    for name in ("web", "db"):
        program.wait_for_state(name, "blocked", "answer_needed")

    terminal = run(sandbox, program, "unlock", "db")
    terminal.wait_for_text("Enter passphrase for key", "encrypted", without="other")
    terminal.write(SECRET)
    terminal.press("Enter")
    terminal.wait_for_text("up: db", "ended with 0", without="other")
    assert "web: waits for the passphrase" in program.succeed("questions")
