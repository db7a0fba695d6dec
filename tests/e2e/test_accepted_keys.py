"""PubkeyAcceptedAlgorithms of ssh_config: the keys offered and the signature algorithms."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

import pytest

from tests.e2e.keys import make_key, public
from tests.e2e.ports import free_port
from tests.e2e.sandbox import USER
from tests.requirements import require
from tunnelkeeper.core.failures import Cause

if TYPE_CHECKING:
    from pathlib import Path

    from tests.e2e.program import Program
    from tests.e2e.sandbox import Sandbox
    from tests.e2e.sshd import Sshd


def rsa_key(path: Path) -> Path:
    command = [require("ssh-keygen"), "-q", "-t", "rsa", "-b", "2048", "-N", "", "-f", str(path)]
    subprocess.run(command, check=True)
    return path


def program_for(sandbox: Sandbox, server: Sshd, keys: list[Path], accepted: str) -> Program:
    """Create a program whose tunnel "t" uses a host of an ssh_config with these keys."""
    ssh_config = sandbox.directory / "ssh_config"
    lines = [
        "Host relay",
        "HostName 127.0.0.1",
        f"Port {server.port}",
        f"User {USER}",
        "IdentitiesOnly yes",
        f"UserKnownHostsFile {sandbox.known_hosts}",
        f"PubkeyAcceptedAlgorithms {accepted}",
        *(f"IdentityFile {key}" for key in keys),
    ]
    ssh_config.write_text("\n".join(lines) + "\n")
    head = f'[supervisor]\nssh_config = "{ssh_config}"\n\n'
    tunnel = f'[tunnels.t]\nhost = "relay"\nsocks = "{free_port()}"\n'
    return sandbox.program(tunnel, head=head)


def test_a_key_of_an_unaccepted_type_is_not_offered(sandbox: Sandbox) -> None:
    server = sandbox.sshd()
    rsa = rsa_key(sandbox.directory / "rsa")
    program = program_for(sandbox, server, [rsa, sandbox.key], "ssh-ed25519")
    program.up()

    program.wait_until_up()

    assert "RSA" not in server.log()
    assert server.log().count("Accepted publickey") == 1


@pytest.mark.parametrize("algorithm", ["rsa-sha2-256", "rsa-sha2-512"])
def test_a_key_signs_with_an_accepted_algorithm(sandbox: Sandbox, algorithm: str) -> None:
    server = sandbox.sshd()
    rsa = rsa_key(sandbox.directory / "rsa")
    with sandbox.authorized_keys.open("a") as file:
        file.write(public(rsa) + "\n")
    program = program_for(sandbox, server, [rsa], algorithm)
    program.up()

    program.wait_until_up()

    assert f"signature algorithm {algorithm}" in server.log() or algorithm in server.log()


def test_a_login_without_an_accepted_key_reports_the_reason(sandbox: Sandbox) -> None:
    server = sandbox.sshd()
    program = program_for(sandbox, server, [sandbox.key], "rsa-sha2-512")
    program.up()

    failure = program.wait_for_state("t", "blocked", Cause.AUTH).failure

    assert failure is not None
    assert "ssh-ed25519 is not in PubkeyAcceptedAlgorithms" in failure.message
    assert "ED25519" not in server.log().split("Server listening")[1]


def test_check_reports_a_key_that_is_not_accepted(sandbox: Sandbox) -> None:
    program = program_for(sandbox, sandbox.sshd(), [sandbox.key], "rsa-sha2-512")

    done = program.run("check")

    assert "ssh-ed25519 is not in PubkeyAcceptedAlgorithms" in done.stdout + done.stderr


@pytest.mark.parametrize(
    "accepted", ["ssh-ed25519-cert-v01@openssh.com", "ssh-ed25519", "rsa-sha2-256"]
)
def test_only_the_accepted_one_of_a_certificate_and_its_key_is_offered(
    sandbox: Sandbox, accepted: str
) -> None:
    authority = make_key(sandbox.directory / "authority")
    command = [require("ssh-keygen"), "-q", "-s", str(authority), "-I", "me", "-n", USER]
    subprocess.run([*command, f"{sandbox.key}.pub"], check=True)
    trusted = sandbox.directory / "authority.pub"
    server = sandbox.sshd(TrustedUserCAKeys=str(trusted))
    program = program_for(sandbox, server, [sandbox.key], accepted)
    program.up()

    if accepted == "rsa-sha2-256":
        program.wait_for_state("t", "blocked", Cause.AUTH)
    else:
        program.wait_until_up()
        assert ("ED25519-CERT" in server.log()) == ("cert" in accepted)
