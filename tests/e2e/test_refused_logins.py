"""The advice for a login that the server refuses."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.e2e.keys import make_key, public
from tests.e2e.sandbox import USER, Sandbox, socks_tunnel

if TYPE_CHECKING:
    from pathlib import Path

    from tunnelkeeper.core.snapshot import FailureSnapshot


def refused(sandbox: Sandbox, port: int, *lines: str, cause: str = "auth") -> FailureSnapshot:
    """Return the failure of a tunnel to the server on a port."""
    program = sandbox.program(socks_tunnel("t", port, *lines))
    program.up()
    failure = program.wait_for_state("t", "blocked", cause).failure
    assert failure is not None
    return failure


def test_a_server_that_also_wants_a_password_waits_for_a_person(sandbox: Sandbox) -> None:
    methods = {"AuthenticationMethods": "publickey,password", "PasswordAuthentication": "yes"}
    server = sandbox.sshd(known=True, **methods)
    failure = refused(sandbox, server.port, cause="answer_needed")

    assert failure.message == "the login asks for a password, and no person is present to answer"
    assert failure.hint == "tunnelkeeper unlock t"
    assert failure.question


def test_a_server_that_wants_a_second_key_says_so(sandbox: Sandbox) -> None:
    server = sandbox.sshd(AuthenticationMethods="publickey,publickey")
    failure = refused(sandbox, server.port)

    assert f"accepted {sandbox.key}, but requires publickey in addition" in failure.message
    assert "add the other one to identity_files" in failure.hint


def test_a_server_that_takes_only_passwords_waits_for_a_person(sandbox: Sandbox) -> None:
    server = sandbox.sshd(PubkeyAuthentication="no", PasswordAuthentication="yes")
    failure = refused(sandbox, server.port, cause="answer_needed")

    assert "asks for a password" in failure.message
    assert failure.hint == "tunnelkeeper unlock t"


def test_without_a_key_the_advice_has_the_files_the_agent_and_a_command(sandbox: Sandbox) -> None:
    missing = sandbox.directory / "missing"
    server = sandbox.sshd(PasswordAuthentication="yes")
    lines = f'identity_files = "{missing}"'
    failure = refused(sandbox, server.port, lines, cause="answer_needed")

    assert failure.hint.startswith("tunnelkeeper unlock t, or create a key: `ssh-keygen")
    assert f"no key could be offered; no such file: {missing}; no agent" in failure.message
    assert "the server still accepts publickey, password" in failure.message
    assert f"ssh-copy-id -i {missing} -p {server.port} {USER}@127.0.0.1" in failure.hint


def test_keys_in_the_agent_that_identities_only_excludes_are_counted(
    sandbox: Sandbox, agent: Path
) -> None:
    failure = refused(
        sandbox,
        sandbox.sshd().port,
        f'identity_files = "{sandbox.directory / "missing"}"',
        f'identity_agent = "{agent}"',
    )

    assert "none of the agent's keys (1) can be offered (identities_only is true)" in (
        failure.message
    )


def test_a_refused_key_behind_a_jump_host_is_copied_through_it(sandbox: Sandbox) -> None:
    wrong = make_key(sandbox.directory / "wrong")
    jump, server = sandbox.sshd(), sandbox.sshd()
    failure = refused(
        sandbox,
        server.port,
        f'identity_files = "{wrong}"',
        f'jump = "{USER}@127.0.0.1:{jump.port}"',
    )

    assert f"offered {wrong}" in failure.message
    assert f"-o ProxyJump={USER}@127.0.0.1:{jump.port} {USER}@127.0.0.1" in failure.hint


def test_too_many_keys_name_all_that_were_offered(sandbox: Sandbox) -> None:
    keys = [make_key(sandbox.directory / f"k{number}") for number in range(3)]
    server = sandbox.sshd(MaxAuthTries="2")
    sandbox.authorized_keys.write_text(f"{public(keys[-1])}\n")
    names = ", ".join(f'"{key}"' for key in keys)
    failure = refused(sandbox, server.port, f"identity_files = [{names}]")

    assert f"Too many authentication failures; offered {keys[0]}, {keys[1]}" in failure.message
    assert "MaxAuthTries" in failure.hint
