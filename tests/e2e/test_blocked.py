"""Blocked tunnels that try again as soon as something changes that the failure depended on.

Without that, they wait for five minutes, which is longer than any of these tests.
"""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

import pytest

from tests.e2e.agent import Agent
from tests.e2e.keys import certify_user, make_key, public
from tests.e2e.sandbox import USER, Sandbox, socks_tunnel
from tests.faults.test_clock import faketime
from tests.requirements import require

if TYPE_CHECKING:
    from pathlib import Path

    from tests.e2e.program import Program


def sign(authority: Path, key: Path, *options: str) -> None:
    """Write a certificate beside a key."""
    command = [require("ssh-keygen"), "-q", "-s", str(authority), "-I", "id", *options]
    subprocess.run([*command, f"{key}.pub"], check=True)


def set_clock(program: Program, offset: Path, difference: str) -> None:
    """Let a program see another wall clock time; `offset` may be changed while it runs."""
    offset.write_text(f"{difference}\n")
    program.environment |= {
        "LD_PRELOAD": str(faketime()),
        "FAKETIME_TIMESTAMP_FILE": str(offset),
        "FAKETIME_NO_CACHE": "1",
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        "NO_FAKE_STAT": "1",
    }


@pytest.mark.parametrize("location", ["beside the key", "certificate_files"])
def test_a_renewed_certificate_ends_the_wait(sandbox: Sandbox, location: str) -> None:
    authority = make_key(sandbox.directory / "authority")
    key = make_key(sandbox.directory / "certified")
    sign(authority, key, "-n", USER, "-V", "20000101:20010101")
    server = sandbox.sshd(TrustedUserCAKeys=f"{authority}.pub")
    sandbox.authorized_keys.write_text("")
    lines = [f'identity_files = "{key}"']
    if location == "certificate_files":
        lines.append(f'certificate_files = "{key}-cert.pub"')
    program = sandbox.program(socks_tunnel("t", server.port, *lines))
    program.up()
    program.wait_for_state("t", "blocked", "auth")

    sign(authority, key, "-n", USER)

    program.wait_until_up()
    assert f"{key}-cert.pub changed: trying again" in program.log()


def test_a_certificate_that_was_missing_ends_the_wait(sandbox: Sandbox) -> None:
    authority = make_key(sandbox.directory / "authority")
    key = make_key(sandbox.directory / "certified")
    server = sandbox.sshd(TrustedUserCAKeys=f"{authority}.pub")
    sandbox.authorized_keys.write_text("")
    program = sandbox.program(socks_tunnel("t", server.port, f'identity_files = "{key}"'))
    program.up()
    program.wait_for_state("t", "blocked", "auth")

    certify_user(authority, key, USER)

    program.wait_until_up()


def test_a_key_added_to_the_agent_ends_the_wait(sandbox: Sandbox) -> None:
    locked = make_key(sandbox.directory / "locked", passphrase="open sesame")
    unlocked = make_key(sandbox.directory / "unlocked")
    sandbox.authorized_keys.write_text(f"{public(unlocked)}\n")
    agent = Agent(sandbox.directory)
    sandbox.add_cleanup(agent.close)
    agent.start()
    lines = [f'identity_agent = "{agent.socket}"', f'identity_files = "{locked}"']
    program = sandbox.program(
        socks_tunnel("t", sandbox.sshd().port, "identities_only = false", *lines)
    )
    program.up()
    program.wait_for_state("t", "blocked", "auth")

    agent.add(unlocked)

    program.wait_until_up()
    assert "the keys of the agent changed: trying again" in program.log()


def test_an_agent_that_starts_ends_the_wait(sandbox: Sandbox) -> None:
    missing = sandbox.directory / "no_key"
    agent = Agent(sandbox.directory)
    sandbox.add_cleanup(agent.close)
    lines = [f'identity_agent = "{agent.socket}"', f'identity_files = "{missing}"']
    program = sandbox.program(
        socks_tunnel("t", sandbox.sshd().port, "identities_only = false", *lines)
    )
    program.up()
    program.wait_for_state("t", "blocked", "auth")

    agent.start()
    agent.add(sandbox.key)

    program.wait_until_up()


@pytest.mark.parametrize("difference", ["-20000d", "+36500d"], ids=["booted in 1970", "in 2126"])
def test_setting_the_clock_makes_a_host_certificate_valid(
    sandbox: Sandbox, difference: str
) -> None:
    authority = make_key(sandbox.directory / "authority")
    key = make_key(sandbox.directory / "certified")
    sign(authority, key, "-h", "-n", "127.0.0.1", "-V", "20200101:20900101")
    server = sandbox.sshd(known=False, HostKey=str(key), HostCertificate=f"{key}-cert.pub")
    sandbox.add_known_host(
        f"[127.0.0.1]:{server.port}", public(authority), marker="@cert-authority"
    )
    program = sandbox.program(socks_tunnel("t", server.port))
    offset = sandbox.directory / "offset"
    set_clock(program, offset, difference)
    program.up()
    blocked = program.wait_for_state("t", "blocked", "answer_needed")
    assert blocked.failure is not None
    assert "certificate" in blocked.failure.message

    offset.write_text("+0\n")

    program.wait_until_up()
    assert "a certificate has become valid: trying again" in program.log()


def test_a_change_of_ssh_config_ends_the_wait(sandbox: Sandbox) -> None:
    server = sandbox.sshd()
    wrong = make_key(sandbox.directory / "wrong")
    config, included = sandbox.directory / "config", sandbox.directory / "config.d"
    included.mkdir()
    config.write_text(
        f"Include {included}/*.conf\nHost box\n  HostName 127.0.0.1\n  Port {server.port}\n"
        f"  User {USER}\n  IdentitiesOnly yes\n  UserKnownHostsFile {sandbox.known_hosts}\n"
        f"  IdentityAgent none\n"
    )
    (included / "broken.conf").write_text("Host box\n  NoSuchKeyword 1\n")
    program = sandbox.program(
        socks_tunnel("t", "box"), head=f'[supervisor]\nssh_config = "{config}"\n\n'
    )
    program.up()
    program.wait_for_state("t", "blocked", "ssh_config")

    (included / "broken.conf").write_text(f"Host box\n  IdentityFile {wrong}\n")
    program.wait_for_state("t", "blocked", "auth")
    (included / "0.conf").write_text(f"Host box\n  IdentityFile {sandbox.key}\n")

    program.wait_until_up()


def test_a_known_hosts_file_that_was_missing_ends_the_wait(sandbox: Sandbox) -> None:
    server = sandbox.sshd(known=False)
    folder = sandbox.directory / "later"
    table = socks_tunnel("t", server.port, f'known_hosts = "{folder}/known_hosts"')
    program = sandbox.program(table)
    program.up()
    program.wait_for_state("t", "blocked", "answer_needed")

    folder.mkdir()
    (folder / "known_hosts").write_text(f"[127.0.0.1]:{server.port} {public(server.host_key)}\n")

    program.wait_until_up()
