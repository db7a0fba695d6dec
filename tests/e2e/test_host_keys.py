"""Which servers are trusted, and that an untrusted server receives no part of the login."""

from __future__ import annotations

import hmac
import stat
from base64 import b64encode

import pytest

from tests.e2e.keys import certify_host, fingerprint, make_key, public
from tests.e2e.sandbox import Sandbox, socks_tunnel


def hashed(name: str) -> str:
    """Return a host name as HashKnownHosts writes it: |1|salt|HMAC-SHA1."""
    salt = b"twenty bytes of salt"
    digest = hmac.digest(salt, name.encode(), "sha1")
    return f"|1|{b64encode(salt).decode()}|{b64encode(digest).decode()}"


def test_an_unknown_key_is_refused_until_it_is_in_known_hosts(sandbox: Sandbox) -> None:
    server = sandbox.sshd(known=False)
    program = sandbox.program(socks_tunnel("t", server.port))
    program.up()

    blocked = program.wait_for_state("t", "blocked", "answer_needed")

    assert blocked.failure is not None
    assert fingerprint(server.host_key) in blocked.failure.message
    assert blocked.failure.hint
    assert server.login_attempts() == 0
    assert sandbox.known_hosts.read_text() == ""
    sandbox.add_known_host(f"[127.0.0.1]:{server.port}", public(server.host_key))
    program.wait_until_up()


def test_accept_new_writes_one_line_to_a_private_file(sandbox: Sandbox) -> None:
    server = sandbox.sshd(known=False)
    sandbox.known_hosts.unlink()
    program = sandbox.program(
        socks_tunnel("t", server.port, 'host_key_policy = "accept-new"'),
    )
    program.up()
    program.wait_until_up()

    expected = f"[127.0.0.1]:{server.port} {public(server.host_key)}\n"
    assert sandbox.known_hosts.read_text() == expected
    assert stat.S_IMODE(sandbox.known_hosts.stat().st_mode) == 0o600
    server.kill()
    server.start()
    program.wait_for_state("t", "backoff")
    program.wait_until_up()
    assert sandbox.known_hosts.read_text() == expected


@pytest.mark.parametrize("policy", ["strict", "accept-new"])
def test_a_changed_key_is_refused_before_the_login(sandbox: Sandbox, policy: str) -> None:
    server = sandbox.sshd(known=False)
    other = make_key(sandbox.directory / "other")
    sandbox.add_known_host("elsewhere", public(other))
    sandbox.add_known_host(f"[127.0.0.1]:{server.port}", public(other))
    before = sandbox.known_hosts.read_text()
    program = sandbox.program(socks_tunnel("t", server.port, f'host_key_policy = "{policy}"'))
    program.up()

    blocked = program.wait_for_state("t", "blocked", "host_key_changed")

    assert blocked.failure is not None
    assert fingerprint(server.host_key) in blocked.failure.message
    assert fingerprint(other) in blocked.failure.message
    assert f"{sandbox.known_hosts}:2" in blocked.failure.message
    assert server.login_attempts() == 0
    assert sandbox.known_hosts.read_text() == before


def test_a_revoked_key_is_refused_even_if_another_line_lists_it(sandbox: Sandbox) -> None:
    server = sandbox.sshd()
    sandbox.add_known_host(f"[127.0.0.1]:{server.port}", public(server.host_key), marker="@revoked")
    program = sandbox.program(socks_tunnel("t", server.port, 'host_key_policy = "accept-new"'))
    program.up()

    blocked = program.wait_for_state("t", "blocked")

    assert blocked.failure is not None
    assert "revoked" in blocked.failure.message
    assert server.login_attempts() == 0


@pytest.mark.parametrize(
    ("principal", "state"), [("127.0.0.1", "up"), ("elsewhere.example.com", "blocked")]
)
def test_a_host_certificate_is_trusted_for_its_principals_only(
    sandbox: Sandbox, principal: str, state: str
) -> None:
    authority = make_key(sandbox.directory / "authority")
    host_key = make_key(sandbox.directory / "certified")
    certificate = certify_host(authority, host_key, principal)
    server = sandbox.sshd(known=False, HostKey=str(host_key), HostCertificate=str(certificate))
    sandbox.add_known_host(
        f"[127.0.0.1]:{server.port}", public(authority), marker="@cert-authority"
    )
    program = sandbox.program(socks_tunnel("t", server.port))
    program.up()

    program.wait_for_state("t", state)

    assert server.logins() == (1 if state == "up" else 0)


def test_hashed_and_malformed_lines_of_known_hosts_are_read_like_ssh_does(sandbox: Sandbox) -> None:
    server = sandbox.sshd(known=False)
    sandbox.known_hosts.write_text("not a key\n[127.0.0.1]:1 ssh-ed25519 AAAAbroken\n")
    sandbox.add_known_host(hashed(f"[127.0.0.1]:{server.port}"), public(server.host_key))
    program = sandbox.program(socks_tunnel("t", server.port))
    program.up()

    program.wait_until_up()
