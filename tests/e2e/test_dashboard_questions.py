"""Questions of real tunnels, answered in the dashboard in a terminal."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from tests.e2e.accounts import make_account
from tests.e2e.keys import fingerprint, make_key, public
from tests.e2e.sandbox import host_table, socks_tunnel
from tests.e2e.test_dashboard import dashboard, row

if TYPE_CHECKING:
    from tests.e2e.sandbox import Sandbox

SECRET = "correct horse battery staple"


def test_a_chain_of_unknown_hosts_and_an_encrypted_key_are_answered_in_one_session(
    sandbox: Sandbox,
) -> None:
    key = make_key(sandbox.directory / "encrypted", passphrase=SECRET)
    with sandbox.authorized_keys.open("a") as file:
        file.write(public(key) + "\n")
    server, inner = sandbox.sshd(known=False), sandbox.sshd(known=False)
    identity = f'identity_files = "{key}"'
    program = sandbox.program(
        host_table("new", server.port, identity),
        socks_tunnel("db", "new"),
        host_table("inner", inner.port, identity, 'jump = ["new"]'),
        socks_tunnel("deep", "inner"),
    )
    assert "answer_needed" in program.run("up", "--detach").stderr
    with dashboard(sandbox, program, 80, 24) as terminal:
        terminal.wait_for_text("1 question: press A")
        terminal.wait_for_screen(lambda text: "host key" in row(text, "deep"), "waits")
        terminal.press("A")
        terminal.wait_for_text("unknown host key", fingerprint(server.host_key), "Accept this key?")
        terminal.write("y")
        terminal.press("Enter")
        terminal.wait_for_text("Type yes, no or the fingerprint")
        assert not sandbox.known_hosts.read_text()
        terminal.write("yes")
        terminal.press("Enter")
        terminal.wait_for_text("The answer was accepted.", "1 question is open")
        terminal.press("C-n")
        terminal.wait_for_text("passphrase of a key", str(key), "Esc decline")
        terminal.write("wrong")
        terminal.press("Enter")
        terminal.wait_for_text("passphrase", "rong")
        terminal.write(SECRET)
        screen = terminal.wait_for_text("•" * 16)
        assert "horse" not in screen
        terminal.press("Enter")
        terminal.wait_for_text("The answer was accepted.", "1 question is open")
        terminal.press("C-n")
        terminal.wait_for_text("unknown host key", f"127.0.0.1:{inner.port}")
        terminal.write(fingerprint(inner.host_key))
        terminal.press("Enter")
        terminal.wait_for_text("The answer was accepted.", "Enter closes")
        terminal.press("Enter")
        terminal.wait_for_text("● 2 up", without="press A")

    process = Path("/proc", str(program.status().supervisor.pid))
    texts = [program.log(), program.succeed("status", "--json"), program.succeed("logs")]
    texts += [(process / name).read_text() for name in ("environ", "cmdline")]
    assert not [text for text in texts if "horse" in text]


def test_a_login_that_waits_for_a_password_starts_on_a_key(sandbox: Sandbox) -> None:
    account = make_account(sandbox)
    server = sandbox.sshd(PasswordAuthentication="yes", PubkeyAuthentication="no")
    program = sandbox.program(socks_tunnel("db", server.port, f'user = "{account.name}"'))
    assert "answer_needed" in program.run("up", "--detach").stderr
    with dashboard(sandbox, program, 120, 35) as terminal:
        terminal.wait_for_text("1 question: press A")
        terminal.press("A")
        terminal.wait_for_text("Log in now? Enter starts the login.", account.name)
        terminal.press("Enter")
        terminal.wait_for_text("The login ends in", "Esc decline")
        terminal.write("wrong")
        terminal.press("Enter")
        terminal.wait_for_text("The password was refused", "The login ends in")
        terminal.write(account.password)
        terminal.press("Enter")
        terminal.wait_for_text("The answer was accepted.", "● 1 up")
        assert account.password not in terminal.screen()
    assert account.password not in program.log()
