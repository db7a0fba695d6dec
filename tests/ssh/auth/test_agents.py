"""Agents that fail, and agents that do not sign."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from asyncssh.packet import SSHPacket, String, UInt32

from tests.ssh.auth.offers import Agent, blob, identify, identities_of, key_file, offered_keys
from tests.ssh.links import silent_server
from tests.ssh.server import new_key, write_key
from tunnelkeeper.ssh.auth import identities
from tunnelkeeper.ssh.auth.agent import SessionBinding
from tunnelkeeper.ssh.auth.algorithms import NOTHING_KNOWN, ServerSignatures
from tunnelkeeper.ssh.auth.login_failure import ServerReplies

if TYPE_CHECKING:
    from pathlib import Path


# Failing agents


async def test_key_files_are_offered_despite_a_dead_agent(folder: Path, agent: Agent) -> None:
    path = key_file(folder, "id")
    keys = identities_of(identity_agent=agent.socket, identity_files=(path,))
    agent.end()

    assert await offered_keys(keys) == [blob(path)]
    assert "; agent: " in keys.login_failure(ServerReplies()).message


async def test_key_files_are_offered_despite_a_missing_agent(folder: Path) -> None:
    path = key_file(folder, "id")
    keys = identities_of(identity_agent=str(folder / "none.sock"), identity_files=(path,))

    assert await offered_keys(keys) == [blob(path)]
    assert keys.record.agent_problem


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
    assert keys.record.agent_problem == "it has not listed its keys within 0.05 s"


async def test_key_files_are_offered_despite_an_invalid_agent_reply(folder: Path) -> None:
    path = key_file(folder, "id")
    async with silent_server(b"\0\0\0\1\xff", at=folder / "agent.sock"):
        keys = identities_of(identity_agent=str(folder / "agent.sock"), identity_files=(path,))

        assert await offered_keys(keys) == [blob(path)]
        assert keys.record.agent_problem


async def test_an_empty_agent_is_no_problem(folder: Path, agent: Agent) -> None:
    keys = identities_of(identity_agent=agent.socket)

    assert await offered_keys(keys) == []
    assert keys.record.agent_problem == ""
    keys.close()


# Signatures


async def test_the_next_key_is_offered_if_the_agent_does_not_sign(
    folder: Path, agent: Agent
) -> None:
    held, path = key_file(folder, "held"), key_file(folder, "id")
    agent.add(held)
    keys = identities_of(identity_agent=agent.socket, identity_files=(path,))
    offer = await keys.next_key()
    agent.run("ssh-add", "-q", "-D")

    assert offer is not None
    with pytest.raises(ValueError, match="did not sign"):
        await offer.sign_async(b"data")
    assert await offered_keys(keys) == [blob(path)]
    [problem] = keys.record.problems
    assert "(agent): the agent did not sign with it" in str(problem)


async def test_an_agent_that_ends_during_a_login_does_not_sign(folder: Path, agent: Agent) -> None:
    agent.add(key_file(folder, "held"))
    keys = identities_of(identity_agent=agent.socket)
    offer = await keys.next_key()
    agent.end()

    assert offer is not None
    with pytest.raises(ValueError, match="did not sign"):
        await offer.sign_async(b"data")
    keys.close()
    with pytest.raises(ValueError, match="is closed"):
        await offer.sign_async(b"data")


@pytest.mark.parametrize("algorithm", ["rsa-sha2-256", "rsa-sha2-512", "ssh-rsa"])
async def test_the_agent_signs_with_the_algorithm_that_was_offered(
    folder: Path, agent: Agent, algorithm: str
) -> None:
    key = new_key("ssh-rsa")
    agent.add(write_key(folder / "rsa", key))
    enabled = "+ssh-rsa" if algorithm == "ssh-rsa" else None
    keys = identities_of(identity_agent=agent.socket, pubkey_accepted_algorithms=enabled)
    offer = await keys.next_key(ServerSignatures(frozenset({algorithm})))

    assert offer is not None
    assert offer.algorithm == algorithm.encode()
    if algorithm == "ssh-rsa":  # SHA-1, which the agent may refuse
        keys.close()
        return
    signature = await offer.sign_async(b"data")
    keys.close()
    assert SSHPacket(signature).get_string() == algorithm.encode()
    assert key.convert_to_public().verify(b"data", signature)


async def test_an_agent_that_signs_with_another_algorithm_is_reported(folder: Path) -> None:
    blob_of_rsa, signature = new_key("ssh-rsa").public_data, String(String("ssh-rsa") + String(""))
    identities_answer = b"\x0c" + UInt32(1) + String(blob_of_rsa) + String("old agent")
    answers = String(identities_answer) + String(b"\x0e" + signature)
    server = ServerSignatures(frozenset({"rsa-sha2-512"}))
    async with silent_server(answers, at=folder / "agent.sock"):
        keys = identities_of(identity_agent=str(folder / "agent.sock"))
        offer = await keys.next_key(server)

        assert offer is not None
        with pytest.raises(ValueError, match="does not sign with rsa-sha2-512"):
            await offer.sign_async(b"data")
        keys.close()


async def test_an_agent_that_refuses_the_binding_still_lists_its_keys(
    folder: Path, agent: Agent
) -> None:
    held = key_file(folder, "held")
    agent.add(held)
    keys = identities_of(identity_agent=agent.socket)

    offer = await keys.next_key(NOTHING_KNOWN, SessionBinding(b"key", b"id", b"signature"))
    keys.close()

    assert offer is not None
    assert identify(offer) == blob(held)
