from __future__ import annotations

import os
import signal
import socket
import subprocess
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import asyncssh
import pytest

from tests.ssh.links import silent_server
from tests.ssh.server import Server, connected, new_key, serve, write_key
from tests.ssh.waiting import until
from tunnelkeeper.core.configuration import Host
from tunnelkeeper.core.failures import Cause, FailureError
from tunnelkeeper.ssh.auth import identities
from tunnelkeeper.ssh.auth.identities import Identities, OfferedKey
from tunnelkeeper.ssh.auth.private_keys import PrivateKeys

if TYPE_CHECKING:
    from collections.abc import AsyncIterator


class Agent:
    """A real ssh-agent."""

    def __init__(self, folder: Path) -> None:
        self.socket = str(folder / "agent.sock")
        self._process = subprocess.Popen(
            ["ssh-agent", "-D", "-a", self.socket], stdout=subprocess.DEVNULL
        )

    def is_running(self) -> bool:
        # The socket file exists after bind(), before listen().
        with socket.socket(socket.AF_UNIX) as client, suppress(OSError):
            client.connect(self.socket)
            return True
        return False

    def add(self, path: str) -> None:
        subprocess.run(
            ["ssh-add", "-q", path],
            env={**os.environ, "SSH_AUTH_SOCK": self.socket},
            check=True,
            capture_output=True,
        )

    def end(self) -> None:
        self._process.send_signal(signal.SIGTERM)
        self._process.wait()


@pytest.fixture
async def agent(tmp_path: Path) -> AsyncIterator[Agent]:
    agent = Agent(tmp_path)
    await until(agent.is_running)
    yield agent
    agent.end()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path


def key_file(folder: Path, name: str, passphrase: str = "") -> str:
    return write_key(folder / name, new_key(), passphrase)


def identify(offer: OfferedKey) -> bytes:
    """Return the public key of an offer, marked if it has a certificate."""
    return (b"certificate " if offer.has_cert else b"") + key_of_pair(offer)


def key_of_pair(pair: Any) -> bytes:
    data = pair.public_data
    if pair.has_cert:
        return bytes(asyncssh.public_key.decode_ssh_certificate(data).key.public_data)
    return bytes(data)


def blob(path: str) -> bytes:
    return asyncssh.read_public_key(f"{path}.pub").public_data


async def offered_keys(keys: Identities) -> list[bytes]:
    offers = []
    try:
        while (offer := await keys.next_key()) is not None:
            offers.append(identify(offer))
    finally:
        keys.close()
    return offers


def identities_of(**changes: Any) -> Identities:
    return Identities(Host("relay", "relay", "me", **changes), PrivateKeys())


# Order


async def test_key_files_are_offered_in_their_order(folder: Path) -> None:
    first, second = key_file(folder, "first"), key_file(folder, "second")
    keys = identities_of(identity_files=(first, second))

    assert await offered_keys(keys) == [blob(first), blob(second)]
    assert keys.offered == [first, second]
    assert keys.problems == []


async def test_the_order_is_named_agent_keys_then_other_agent_keys_then_files(
    folder: Path, agent: Agent
) -> None:
    other_key, named_key, plain = (key_file(folder, name) for name in ("other", "named", "plain"))
    agent.add(other_key)
    agent.add(named_key)
    keys = identities_of(identity_agent=agent.socket, identity_files=(plain, named_key))

    assert await offered_keys(keys) == [blob(named_key), blob(other_key), blob(plain)]
    assert [text.rsplit(" ", 1)[-1] for text in keys.offered] == [
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
    assert keys.problems == []


async def test_a_certificate_next_to_its_key_is_offered(folder: Path) -> None:
    path = key_file(folder, "certified")
    certify(folder / "certified", folder / "certified-cert.pub")

    keys = identities_of(identity_files=(path,))

    assert await offered_keys(keys) == [b"certificate " + blob(path), blob(path)]
    assert keys.offered == [path]


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
    message = keys.login_failure(["publickey"]).message
    assert f"{path}: ssh-ed25519 is not in PubkeyAcceptedAlgorithms" in message
    assert "agent: ssh-ed25519 is not in" in message


async def test_a_separate_certificate_file_is_matched_with_its_key(folder: Path) -> None:
    path, other_key = key_file(folder, "certified"), key_file(folder, "other")
    certify(folder / "certified", folder / "apart.pub")
    certificates = (str(folder / "apart.pub"), str(folder / "none.pub"))

    keys = identities_of(identity_files=(other_key, path), certificate_files=certificates)

    assert await offered_keys(keys) == [
        blob(other_key),
        b"certificate " + blob(path),
        blob(path),
    ]


async def test_an_agent_key_is_offered_with_its_certificate_then_without(
    folder: Path, agent: Agent
) -> None:
    path, other_key = key_file(folder, "certified"), key_file(folder, "other")
    agent.add(path)
    certify(folder / "certified", folder / "apart.pub")
    certify(Path(other_key), folder / "others.pub")
    certificates = (str(folder / "others.pub"), str(folder / "apart.pub"))
    keys = identities_of(identity_agent=agent.socket, certificate_files=certificates)

    assert await offered_keys(keys) == [b"certificate " + blob(path), blob(path)]


def certify(path: Path, certificate: Path, authority: asyncssh.SSHKey | None = None) -> None:
    key = asyncssh.read_public_key(f"{path}.pub")
    new_certificate = (authority or new_key()).generate_user_certificate(
        key, "me", principals=["me"]
    )
    certificate.write_bytes(new_certificate.export_certificate())


# Keys that cannot be offered


async def test_a_key_with_a_passphrase_needs_a_secret(folder: Path) -> None:
    path = key_file(folder, "locked", passphrase="secret")
    keys = identities_of(identity_files=(path,))
    assert await offered_keys(keys) == []

    failure = keys.login_failure(["publickey"])

    assert failure.cause is Cause.SECRET_NEEDED
    assert failure.hint == f"unlock it for the agent: ssh-add {path}"
    assert "no key could be offered" in failure.message
    assert failure.files == (path,)


async def test_a_key_that_others_can_read_is_not_offered(folder: Path) -> None:
    path = key_file(folder, "open")
    (folder / "open").chmod(0o640)
    keys = identities_of(identity_files=(path,))
    assert await offered_keys(keys) == []

    failure = keys.login_failure(["publickey"])

    assert failure.cause is Cause.AUTH
    assert f"not used: {path}: its permissions 0640 let others read it" in failure.message
    assert failure.hint == f"chmod 600 {path}"


async def test_a_missing_key_is_not_reported(folder: Path) -> None:
    """The default identity files are several, and hardly any user has all of them."""
    keys = identities_of(identity_files=(str(folder / "id_rsa"),))
    assert await offered_keys(keys) == []

    failure = keys.login_failure(["publickey"])

    assert failure.message == "login as me refused; no key could be offered"
    assert "authorized_keys" in failure.hint


async def test_a_broken_key_is_named_and_the_hint_comes_from_the_server(folder: Path) -> None:
    (folder / "broken").write_text("not a key")
    (folder / "broken").chmod(0o600)
    keys = identities_of(identity_files=(str(folder / "broken"),))
    await offered_keys(keys)

    failure = keys.login_failure(["keyboard-interactive", "password"])

    assert f"not used: {folder / 'broken'}: " in failure.message
    assert failure.hint == "the server takes no keys, only keyboard-interactive, password"


async def test_the_login_failure_names_the_offered_keys(folder: Path) -> None:
    path = key_file(folder, "id")
    keys = identities_of(identity_files=(path,))
    await offered_keys(keys)

    failure = keys.login_failure([])

    assert failure.message == f"login as me refused; offered {path}"
    assert failure.hop == "me@relay:22"
    assert "authorized_keys" in failure.hint


# Failing agents


async def test_key_files_are_offered_despite_a_dead_agent(folder: Path, agent: Agent) -> None:
    path = key_file(folder, "id")
    keys = identities_of(identity_agent=agent.socket, identity_files=(path,))
    agent.end()

    assert await offered_keys(keys) == [blob(path)]
    assert "; agent: " in keys.login_failure([]).message


async def test_key_files_are_offered_despite_a_missing_agent(folder: Path) -> None:
    path = key_file(folder, "id")
    keys = identities_of(identity_agent=str(folder / "none.sock"), identity_files=(path,))

    assert await offered_keys(keys) == [blob(path)]
    assert keys.agent_problem


async def test_key_files_are_offered_despite_a_hung_agent(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(identities, "AGENT_TIMEOUT", 0.05)
    path = key_file(folder, "id")
    async with silent_server(at=folder / "agent.sock"):
        keys = identities_of(identity_agent=str(folder / "agent.sock"), identity_files=(path,))

        offer = await keys.next_key()
        keys.close()

    assert offer is not None
    assert identify(offer) == blob(path)
    assert keys.agent_problem == "it has not listed its keys within 0.05 s"


async def test_key_files_are_offered_despite_an_invalid_agent_reply(folder: Path) -> None:
    path = key_file(folder, "id")
    async with silent_server(b"\0\0\0\1\xff", at=folder / "agent.sock"):
        keys = identities_of(identity_agent=str(folder / "agent.sock"), identity_files=(path,))

        assert await offered_keys(keys) == [blob(path)]
        assert keys.agent_problem


async def test_an_empty_agent_is_no_problem(folder: Path, agent: Agent) -> None:
    keys = identities_of(identity_agent=agent.socket)

    assert await offered_keys(keys) == []
    assert keys.agent_problem == ""
    keys.close()


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
    assert failure.cause is Cause.SECRET_NEEDED
    assert f"offered {server.user_key_file}" in failure.message
