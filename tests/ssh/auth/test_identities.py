from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import asyncssh
import pytest
from asyncssh.auth import MSG_USERAUTH_PK_OK, _ServerPublicKeyAuth
from asyncssh.packet import String

from tests.e2e.keys import make_key
from tests.ssh.auth.offers import Agent, blob, certify, identities_of, key_file, offered_keys
from tests.ssh.server import Server, connected, new_key, serve
from tunnelkeeper.core.failures import Cause, FailureError
from tunnelkeeper.ssh.auth.login_failure import ServerReplies

if TYPE_CHECKING:
    from pathlib import Path


# Order


async def test_key_files_are_offered_in_their_order(folder: Path) -> None:
    first, second = key_file(folder, "first"), key_file(folder, "second")
    keys = identities_of(identity_files=(first, second))

    assert await offered_keys(keys) == [blob(first), blob(second)]
    assert keys.record.offered == [first, second]
    assert keys.record.problems == []


async def test_the_order_is_named_agent_keys_then_other_agent_keys_then_files(
    folder: Path, agent: Agent
) -> None:
    other_key, named_key, plain = (key_file(folder, name) for name in ("other", "named", "plain"))
    agent.add(other_key)
    agent.add(named_key)
    keys = identities_of(identity_agent=agent.socket, identity_files=(plain, named_key))

    assert await offered_keys(keys) == [blob(named_key), blob(other_key), blob(plain)]
    assert [text.rsplit(" ", 1)[-1] for text in keys.record.offered] == [
        "(agent)",
        "(agent)",
        plain,
    ]


async def test_identities_only_excludes_other_agent_keys(folder: Path, agent: Agent) -> None:
    other_key, named_key = key_file(folder, "other"), key_file(folder, "named")
    agent.add(other_key)
    agent.add(named_key)
    keys = identities_of(
        identity_agent=agent.socket, identity_files=(named_key,), identities_only=True
    )

    assert await offered_keys(keys) == [blob(named_key)]


async def test_an_agent_key_is_identified_by_its_public_key_file(
    folder: Path, agent: Agent
) -> None:
    path = key_file(folder, "locked")
    agent.add(path)
    (folder / "locked").unlink()
    keys = identities_of(identity_agent=agent.socket, identity_files=(path,), identities_only=True)

    assert await offered_keys(keys) == [blob(path)]
    assert keys.record.problems == []


async def test_a_certificate_next_to_its_key_is_offered(folder: Path) -> None:
    path = key_file(folder, "certified")
    certify(folder / "certified", folder / "certified-cert.pub")

    keys = identities_of(identity_files=(path,))

    assert await offered_keys(keys) == [blob(path), b"certificate " + blob(path)]
    assert keys.record.offered == [path, path]


@pytest.mark.parametrize("accepted", ["ssh-ed25519", "ssh-ed25519-cert-v01@openssh.com"])
async def test_only_accepted_types_of_key_and_certificate_are_offered(
    folder: Path, accepted: str
) -> None:
    path = key_file(folder, "certified")
    certify(folder / "certified", folder / "certified-cert.pub")

    keys = identities_of(identity_files=(path,), pubkey_accepted_algorithms=accepted)

    expected = b"certificate " + blob(path) if "cert" in accepted else blob(path)
    assert await offered_keys(keys) == [expected]


async def test_the_login_failure_names_keys_of_types_not_accepted(
    folder: Path, agent: Agent
) -> None:
    path, other_key = key_file(folder, "own"), key_file(folder, "other")
    agent.add(other_key)

    keys = identities_of(
        identity_agent=agent.socket,
        identity_files=(path,),
        pubkey_accepted_algorithms="rsa-sha2-256",
    )

    assert await offered_keys(keys) == []
    message = keys.login_failure(ServerReplies(("publickey",))).message
    assert f"{path}: ssh-ed25519 is not in PubkeyAcceptedAlgorithms" in message
    assert "agent: ssh-ed25519 is not in" in message


async def test_rsa_keys_below_the_required_size_are_not_offered(folder: Path, agent: Agent) -> None:
    small, large, other = (folder / name for name in ("small", "large", "other"))
    for path, bits in ((small, 1024), (large, 2048), (other, 1024)):
        make_key(path, "rsa", bits=bits)
    certify(small, folder / "small-cert.pub")
    agent.add(str(other))
    options: dict[str, Any] = {
        "identity_agent": agent.socket,
        "identity_files": (str(small), str(large)),
    }
    keys = identities_of(**options, required_rsa_size=2048)

    assert await offered_keys(keys) == [blob(str(large))]
    message = keys.login_failure(ServerReplies(("publickey",))).message
    assert f"{small}: it has 1024 bits, and RequiredRSASize asks for 2048" in message
    assert len(await offered_keys(identities_of(**options, required_rsa_size=1024))) == 4


async def test_a_separate_certificate_file_is_matched_with_its_key(folder: Path) -> None:
    path, other_key = key_file(folder, "certified"), key_file(folder, "other")
    certify(folder / "certified", folder / "apart.pub")
    certificates = (str(folder / "apart.pub"), str(folder / "none.pub"))

    keys = identities_of(identity_files=(other_key, path), certificate_files=certificates)

    assert await offered_keys(keys) == [
        b"certificate " + blob(path),
        blob(other_key),
        blob(path),
    ]


async def test_configured_certificates_are_offered_before_the_keys_of_the_agent(
    folder: Path, agent: Agent
) -> None:
    path, other_key = key_file(folder, "certified"), key_file(folder, "other")
    agent.add(path)
    certify(folder / "certified", folder / "apart.pub")
    certify(folder / "other", folder / "others.pub")
    certificates = (str(folder / "others.pub"), str(folder / "apart.pub"))
    keys = identities_of(identity_agent=agent.socket, certificate_files=certificates)

    assert await offered_keys(keys) == [
        b"certificate " + blob(other_key),
        b"certificate " + blob(path),
        blob(path),
    ]


# Keys that cannot be offered


async def test_a_key_with_a_passphrase_needs_a_secret(folder: Path) -> None:
    path = key_file(folder, "locked", passphrase="secret")
    keys = identities_of(identity_files=(path,))
    assert await offered_keys(keys, accepted=True) == [blob(path)]

    failure = keys.login_failure(ServerReplies(("publickey",)))

    assert failure.cause is Cause.ANSWER_NEEDED
    assert failure.hint == f"ssh-add {path}"
    assert failure.files[0] == path


async def test_a_refused_key_with_a_passphrase_needs_no_secret(folder: Path) -> None:
    path = key_file(folder, "locked", passphrase="secret")
    keys = identities_of(identity_files=(path,))
    assert await offered_keys(keys) == [blob(path)]

    assert keys.login_failure(ServerReplies(("publickey",))).cause is Cause.AUTH


async def test_a_pem_key_with_a_passphrase_needs_a_secret_to_be_offered(folder: Path) -> None:
    path = folder / "locked"
    path.write_bytes(new_key("ssh-rsa").export_private_key("pkcs8-pem", passphrase="secret"))
    path.chmod(0o600)
    keys = identities_of(identity_files=(str(path),))
    assert await offered_keys(keys) == []

    failure = keys.login_failure(ServerReplies(("publickey",)))

    assert failure.cause is Cause.ANSWER_NEEDED
    assert failure.message == f"the private key {path}: it is protected by a passphrase"


async def test_a_key_that_others_can_read_does_not_sign(folder: Path) -> None:
    path = key_file(folder, "open")
    (folder / "open").chmod(0o640)
    keys = identities_of(identity_files=(path,))
    assert await offered_keys(keys, accepted=True) == [blob(path)]

    failure = keys.login_failure(ServerReplies(("publickey",)))

    assert failure.cause is Cause.AUTH
    assert f"not used: {path}: its permissions 0640 let others read it" in failure.message
    assert failure.hint == f"chmod 600 {path}"


async def test_without_a_key_the_files_and_the_agent_are_reported(folder: Path) -> None:
    path = str(folder / "id_tunnel")
    keys = identities_of(identity_files=(path,))
    assert await offered_keys(keys) == []

    failure = keys.login_failure(ServerReplies(("publickey",)))

    assert f"no key could be offered; no such file: {path}; no agent" in failure.message
    assert f"ssh-keygen -t ed25519 -f {path}" in failure.hint
    assert f"ssh-copy-id -i {path} -p 22 me@relay" in failure.hint


async def test_without_a_key_the_keys_in_the_agent_are_counted(folder: Path, agent: Agent) -> None:
    keys = identities_of(identity_agent=agent.socket, identities_only=True)
    assert await offered_keys(keys) == []
    assert "the agent holds no key" in keys.login_failure(ServerReplies()).message

    agent.add(key_file(folder, "held"))
    keys = identities_of(identity_agent=agent.socket, identities_only=True)
    assert await offered_keys(keys) == []
    message = keys.login_failure(ServerReplies()).message
    assert "none of the agent's keys (1) can be offered (identities_only is true)" in message


async def test_a_broken_key_is_named_and_the_hint_comes_from_the_server(folder: Path) -> None:
    (folder / "broken").write_text("not a key")
    (folder / "broken").chmod(0o600)
    keys = identities_of(identity_files=(str(folder / "broken"),))
    await offered_keys(keys)

    failure = keys.login_failure(ServerReplies(("keyboard-interactive", "password")))

    assert f"not used: {folder / 'broken'}: " in failure.message
    assert failure.hint.startswith("the server takes no keys, only keyboard-interactive, password")


async def test_the_login_failure_names_the_offered_keys(folder: Path) -> None:
    path = key_file(folder, "id")
    keys = identities_of(identity_files=(path,))
    await offered_keys(keys)

    failure = keys.login_failure(ServerReplies())

    assert failure.message == f"login as me refused; offered {path}"
    assert failure.hop == "me@relay:22"
    assert "let the server accept the key" in failure.hint


# Logins


async def test_an_agent_key_is_accepted_by_a_server(folder: Path, agent: Agent) -> None:
    async with serve(folder) as server:
        agent.add(server.user_key_file)
        host = server.host(identity_agent=agent.socket, identity_files=())
        async with connected(host) as connection:
            assert not connection.is_closed


@pytest.mark.parametrize("held_by_agent", [False, True])
async def test_a_certificate_is_accepted_by_a_server(
    folder: Path, agent: Agent, held_by_agent: bool
) -> None:
    async with serve(folder) as server:
        server.user_authority = new_key()
        path = key_file(folder, "certified")
        certify(folder / "certified", folder / "apart.pub", server.user_authority)
        host = server.host(identity_files=(path,), certificate_files=(str(folder / "apart.pub"),))
        if held_by_agent:
            agent.add(path)
            host = replace(host, identity_agent=agent.socket, identity_files=())
        async with connected(host) as connection:
            assert not connection.is_closed

        authority = server.user_authority.get_fingerprint()
        assert f"certificate by {authority}" in server.offered


async def test_keys_are_offered_one_by_one_until_one_is_accepted(
    server: Server, folder: Path
) -> None:
    wrong, unused = key_file(folder, "wrong"), key_file(folder, "unused")
    host = server.host(identity_files=(wrong, server.user_key_file, unused))
    async with connected(host):
        offered = list(dict.fromkeys(server.offered))

    right = server.user_key.get_fingerprint()
    assert offered == [asyncssh.read_public_key(f"{wrong}.pub").get_fingerprint(), right]


async def test_a_refused_login_reports_the_offered_keys(server: Server, folder: Path) -> None:
    server.refuse_logins = True
    locked = key_file(folder, "locked", passphrase="secret")
    with pytest.raises(FailureError) as failed:
        async with connected(server.host(identity_files=(server.user_key_file, locked))):
            pass

    failure = failed.value.failure
    assert failure.cause is Cause.AUTH
    assert f"offered {server.user_key_file}, {locked}" in failure.message


@pytest.mark.parametrize("name", ["ssh-rsa", "rsa-sha2-256"])
async def test_a_server_may_name_an_rsa_key_by_its_type_or_another_algorithm(
    folder: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    send_packet = _ServerPublicKeyAuth.send_packet

    def rename(auth: _ServerPublicKeyAuth, kind: int, *args: bytes, **options: Any) -> None:
        arguments = (String(name), *args[1:]) if kind == MSG_USERAUTH_PK_OK else args
        send_packet(auth, kind, *arguments, **options)

    monkeypatch.setattr(_ServerPublicKeyAuth, "send_packet", rename)
    async with serve(folder, user_key=new_key("ssh-rsa")) as server, connected(server.host()) as c:
        assert not c.is_closed


async def test_a_server_that_accepts_another_type_than_offered_is_refused(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    send_packet = _ServerPublicKeyAuth.send_packet

    def rename(auth: _ServerPublicKeyAuth, kind: int, *args: bytes, **options: Any) -> None:
        send_packet(auth, kind, String("ssh-rsa"), *args[1:], **options)

    monkeypatch.setattr(_ServerPublicKeyAuth, "send_packet", rename)
    async with serve(folder) as server:
        with pytest.raises(FailureError):
            async with connected(server.host()):
                pass
