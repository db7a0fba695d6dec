"""Successful logins, and the reports and retries of failed ones."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import pytest

from tests.e2e.keys import certify_user, make_key, public
from tests.e2e.sandbox import USER, Sandbox, socks_tunnel

if TYPE_CHECKING:
    from pathlib import Path


def test_a_refused_key_blocks_until_its_file_changes(sandbox: Sandbox) -> None:
    server = sandbox.sshd()
    wrong = make_key(sandbox.directory / "wrong")
    program = sandbox.program(socks_tunnel("t", server.port, f'identity_files = "{wrong}"'))
    program.up()

    blocked = program.wait_for_state("t", "blocked", "auth")

    assert blocked.failure is not None
    assert str(wrong) in blocked.failure.message + blocked.failure.hint
    assert server.log().count("Connection from 127.0.0.1") == 1
    shutil.copyfile(sandbox.key, wrong)
    shutil.copyfile(f"{sandbox.key}.pub", f"{wrong}.pub")
    program.wait_until_up()


def test_a_banner_in_latin1_does_not_end_the_login(sandbox: Sandbox) -> None:
    banner = sandbox.directory / "banner"
    banner.write_bytes("Accès réservé ©\n".encode("latin-1"))
    server = sandbox.sshd(Banner=str(banner))
    program = sandbox.program(socks_tunnel("t", server.port))
    program.up()

    program.wait_until_up()


def test_a_key_with_a_passphrase_blocks_the_tunnel(sandbox: Sandbox) -> None:
    key = make_key(sandbox.directory / "locked", passphrase="open sesame")
    sandbox.authorized_keys.write_text(public(key) + "\n")
    program = sandbox.program(socks_tunnel("t", sandbox.sshd().port, f'identity_files = "{key}"'))
    program.up()

    blocked = program.wait_for_state("t", "blocked", "answer_needed")

    assert blocked.failure is not None
    assert str(key) in blocked.failure.message + blocked.failure.hint
    assert blocked.failure.hint == "tunnelkeeper unlock t"


def test_a_key_that_others_can_read_is_refused_until_its_mode_is_fixed(sandbox: Sandbox) -> None:
    server = sandbox.sshd()
    sandbox.key.chmod(0o640)
    program = sandbox.program(socks_tunnel("t", server.port))
    program.up()

    blocked = program.wait_for_state("t", "blocked")

    assert blocked.failure is not None
    assert str(sandbox.key) in blocked.failure.message + blocked.failure.hint
    assert "chmod" in blocked.failure.hint
    assert server.logins() == 0
    sandbox.key.chmod(0o600)
    program.wait_until_up()


@pytest.mark.parametrize("location", ["with the key", "certificate_files"])
def test_a_user_certificate_logs_in(sandbox: Sandbox, location: str) -> None:
    authority = make_key(sandbox.directory / "authority")
    key = make_key(sandbox.directory / "certified")
    certificate = certify_user(authority, key, USER)
    server = sandbox.sshd(TrustedUserCAKeys=f"{authority}.pub")
    sandbox.authorized_keys.write_text("")
    lines = [f'identity_files = "{key}"']
    if location == "certificate_files":
        elsewhere = certificate.rename(sandbox.directory / "elsewhere.pub")
        lines.append(f'certificate_files = "{elsewhere}"')
    program = sandbox.program(socks_tunnel("t", server.port, *lines))
    program.up()
    program.wait_until_up()

    assert "ED25519-CERT" in server.log()


@pytest.mark.parametrize("source", ["identity_agent", "environment"])
def test_a_key_of_the_agent_logs_in(sandbox: Sandbox, agent: Path, source: str) -> None:
    head = f'[defaults]\nuser = "{USER}"\nknown_hosts = "{sandbox.known_hosts}"\n'
    lines = [f'identity_agent = "{agent}"'] if source == "identity_agent" else []
    program = sandbox.program(
        socks_tunnel("t", sandbox.sshd().port, *lines),
        head=f"[supervisor]\nssh_config = false\n{head}",
    )
    if source == "environment":
        program.environment["SSH_AUTH_SOCK"] = str(agent)
    program.up()

    program.wait_until_up()
