"""`tunnelkeeper trust`: the host keys of a chain, for a person and for scripts."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from tests.e2e.keys import fingerprint, make_key, public
from tests.e2e.program import COMMAND
from tests.e2e.sandbox import Sandbox, socks_tunnel
from tests.e2e.terminal import Terminal

if TYPE_CHECKING:
    from tests.e2e.program import Program
    from tests.e2e.sshd import Sshd


@pytest.fixture
def chain(sandbox: Sandbox) -> tuple[Sshd, Sshd]:
    """Return a jump host and a server behind it, both unknown."""
    return sandbox.sshd(known=False), sandbox.sshd(known=False)


def program_for(sandbox: Sandbox, chain: tuple[Sshd, Sshd]) -> Program:
    jump, server = chain
    table = socks_tunnel("db", server.port, f'jump = "127.0.0.1:{jump.port}"')
    return sandbox.program(table)


def lines_of(chain: tuple[Sshd, ...]) -> str:
    return "".join(f"[127.0.0.1]:{each.port} {public(each.host_key)}\n" for each in chain)


def test_a_script_accepts_the_keys_of_a_chain_by_their_fingerprints(
    sandbox: Sandbox, chain: tuple[Sshd, Sshd]
) -> None:
    jump, server = chain
    program = program_for(sandbox, chain)
    program.up()
    program.wait_for_state("db", "blocked", "answer_needed")
    keys = [fingerprint(each.host_key) for each in chain]

    asked = program.run("trust", "db")
    assert asked.returncode == 1
    assert f"tunnelkeeper trust db --fingerprint {keys[0]}" in asked.stderr
    assert f":{jump.port}: ssh-ed25519 {keys[0]}: unknown" in asked.stdout
    assert sandbox.known_hosts.read_text() == ""
    wrong = program.run("trust", "db", "--fingerprint", keys[1])
    assert wrong.returncode == 1
    assert "none of the fingerprints that were given" in wrong.stderr

    options = [word for key in keys for word in ("--fingerprint", key)]
    accepted = program.run("trust", "db", *options)

    assert (accepted.returncode, accepted.stderr) == (0, ""), accepted
    assert accepted.stdout.count(": accepted (added the host key of ") == 2
    assert sandbox.known_hosts.read_text() == lines_of(chain)
    program.wait_until_up("db")
    again = program.run("trust", "db", "--json")
    assert again.returncode == 0
    found = json.loads(again.stdout)
    assert [each["outcome"] for each in found] == ["known", "known"]
    assert [each["fingerprint"] for each in found] == keys
    unseen = program.run("trust", "db", "--fingerprint", "SHA256:other")
    assert unseen.returncode == 1
    assert "no host shows a key with the fingerprint SHA256:other" in unseen.stderr
    assert server.logins() == 1


def test_a_person_accepts_a_chain_on_a_terminal(sandbox: Sandbox, chain: tuple[Sshd, Sshd]) -> None:
    program = program_for(sandbox, chain)
    terminal = Terminal(sandbox.directory / "tmux", 120, 60)
    sandbox.add_cleanup(terminal.close)
    terminal.run([*COMMAND, "trust", "db"], program.environment)
    for number, server in enumerate(chain):
        shown = terminal.wait_for_text(f"known for [127.0.0.1]:{server.port}", "fingerprint)")
        assert shown.count(fingerprint(server.host_key)) == 1
        if number == 0:
            terminal.write("what")
            terminal.press("Enter")
            terminal.wait_for_text("Please type 'yes', 'no' or the fingerprint:")
        terminal.write("yes")
        terminal.press("Enter")
        terminal.wait_for_text(f":{server.port}: ssh-ed25519", ": accepted")
    terminal.wait_for_text("ended with 0")

    assert sandbox.known_hosts.read_text() == lines_of(chain)
    assert chain[1].login_attempts() == 0


def test_a_changed_key_is_refused_with_the_remedy(sandbox: Sandbox) -> None:
    server = sandbox.sshd(known=False)
    name = f"[127.0.0.1]:{server.port}"
    sandbox.add_known_host(name, public(make_key(sandbox.directory / "other")))
    before = sandbox.known_hosts.read_text()
    program = sandbox.program(socks_tunnel("db", server.port))

    done = program.run("trust", "db", "--fingerprint", fingerprint(server.host_key))

    assert done.returncode == 1
    assert f"ssh-keygen -R '{name}' -f {sandbox.known_hosts}" in done.stderr
    assert sandbox.known_hosts.read_text() == before
