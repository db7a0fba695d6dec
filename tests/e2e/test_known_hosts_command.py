"""KnownHostsCommand: the same servers are trusted as with ssh, for the same arguments."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

import pytest

from tests.e2e.keys import certify_host, make_key, public
from tests.e2e.ports import free_port
from tests.e2e.sandbox import USER, Sandbox, tunnel_table
from tests.requirements import require

if TYPE_CHECKING:
    from pathlib import Path

ARGUMENTS = "%H %I %t %f %K %h %p %r %n %%"


def write_script(path: Path, text: str) -> Path:
    """Write a script that records its arguments in PATH.log, a line for each run."""
    path.write_text(f'#!/bin/sh\necho "$*" >> {path}.log\n{text}\n')
    path.chmod(0o755)
    return path


def runs(script: Path) -> set[str]:
    log = script.with_name(f"{script.name}.log")
    return set(log.read_text().splitlines()) if log.exists() else set()


def log_in_with_both(sandbox: Sandbox, port: int, script: Path, arguments: str) -> tuple[bool, str]:
    """Return whether ssh logs in, and the state or the failure of a tunnel.

    Both run the script. If they log in, they must have passed it the same arguments.
    """
    config = sandbox.directory / f"{script.name}.config"
    config.write_text(
        f"Host box\n  HostName 127.0.0.1\n  Port {port}\n  User {USER}\n"
        f"  IdentityFile {sandbox.key}\n  IdentitiesOnly yes\n  BatchMode yes\n"
        f"  UserKnownHostsFile {sandbox.directory}/none\n  GlobalKnownHostsFile /dev/null\n"
        f"  KnownHostsCommand {script} {arguments}\n"
    )
    command = [require("ssh"), "-F", str(config), "box", "true"]
    accepted = subprocess.run(command, check=False, capture_output=True).returncode == 0
    with_ssh = runs(script)
    script.with_name(f"{script.name}.log").unlink(missing_ok=True)
    program = sandbox.program(
        tunnel_table("t", "box", f'socks = "{free_port()}"'),
        head=f'[supervisor]\nssh_config = "{config}"\n\n',
    )
    program.up()
    tunnel = program.wait_for("t", lambda t: t.state in {"up", "blocked", "backoff"})
    if accepted:
        assert runs(script) <= with_ssh
    assert runs(script) or not with_ssh
    failure = tunnel.failure
    return accepted, "up" if failure is None else f"{failure.cause}: {failure.message}"


@pytest.mark.parametrize("arguments", ["%H", ARGUMENTS])
def test_a_key_that_the_command_prints_is_trusted(sandbox: Sandbox, arguments: str) -> None:
    server = sandbox.sshd(known=False)
    script = write_script(
        sandbox.directory / "keys", f"echo '[127.0.0.1]:{server.port} {public(server.host_key)}'"
    )

    assert log_in_with_both(sandbox, server.port, script, arguments) == (True, "up")
    if arguments == ARGUMENTS:
        reasons = {line.split()[1]: line.split()[2] for line in runs(script)}
        assert reasons == {"ORDER": "NONE", "HOSTNAME": "ssh-ed25519"}


def test_a_command_can_answer_for_the_key_that_it_is_asked_about(sandbox: Sandbox) -> None:
    server = sandbox.sshd(known=False)
    script = write_script(sandbox.directory / "echo", '[ "$2" = NONE ] || echo "$1" "$2" "$3"')

    assert log_in_with_both(sandbox, server.port, script, "%H %t %K") == (True, "up")


def test_a_certificate_authority_may_come_from_the_command(sandbox: Sandbox) -> None:
    authority, key = make_key(sandbox.directory / "ca"), make_key(sandbox.directory / "host")
    certificate = certify_host(authority, key, "127.0.0.1")
    server = sandbox.sshd(known=False, HostKey=str(key), HostCertificate=str(certificate))
    script = write_script(
        sandbox.directory / "cas", f"echo '@cert-authority * {public(authority)}'"
    )

    assert log_in_with_both(sandbox, server.port, script, "%t") == (True, "up")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("true", "no host key is known"),
        ("echo '@revoked * {key}'; echo '* {key}'", "host_key_changed: "),
        ("echo '* {key}'; echo no network >&2; exit 3", "exit status 3, no network"),
        ("echo '* {other}'", "host_key_changed: "),
        ("test $# != 2 || test $2 = NONE || exit 4", ""),
    ],
)
@pytest.mark.parametrize("arguments", ["%H", "%H %t"])
def test_a_server_is_refused_as_with_ssh(
    sandbox: Sandbox, text: str, message: str, arguments: str
) -> None:
    server = sandbox.sshd(known=False)
    other = make_key(sandbox.directory / "other")
    body = text.format(key=public(server.host_key), other=public(other))
    script = write_script(sandbox.directory / "keys", body)

    accepted, outcome = log_in_with_both(sandbox, server.port, script, arguments)

    assert not accepted
    assert message in outcome
    assert server.logins() == 0


def test_a_command_that_is_missing_is_named(sandbox: Sandbox) -> None:
    server = sandbox.sshd(known=False)

    accepted, outcome = log_in_with_both(sandbox, server.port, sandbox.directory / "missing", "%H")

    assert not accepted
    assert "known_hosts_command failed" in outcome
    assert "missing: No such file" in outcome
