"""What a failed login depended on: files, the keys of the agent, the validity of certificates."""

from __future__ import annotations

from typing import TYPE_CHECKING

import asyncssh
import pytest

from tests.ssh.auth.offers import Agent, blob, identities_of, key_file, offered_keys
from tests.ssh.links import silent_server
from tests.ssh.server import new_key
from tunnelkeeper.core.failures import AgentKeys
from tunnelkeeper.ssh.auth import agent as agent_module
from tunnelkeeper.ssh.auth import identities
from tunnelkeeper.ssh.auth.agent import AgentKeyLists
from tunnelkeeper.ssh.auth.login_failure import ServerReplies
from tunnelkeeper.ssh.auth.openssh_certificate import START_RETRIES

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

STARTS, ENDS = 2_000_000_000, 2_100_000_000


async def test_the_files_are_the_keys_and_what_may_be_beside_them(folder: Path) -> None:
    path, certificate = key_file(folder, "id"), str(folder / "missing-cert.pub")
    socket = str(folder / "agent.sock")
    keys = identities_of(
        identity_files=(path,), certificate_files=(certificate,), identity_agent=socket
    )
    await offered_keys(keys)

    expected = {path, f"{path}.pub", f"{path}-cert.pub", certificate, socket}
    assert set(keys.login_failure(ServerReplies()).files) == expected


async def test_the_keys_of_the_agent_are_those_of_the_login(folder: Path, agent: Agent) -> None:
    path = key_file(folder, "id")
    keys = identities_of(identity_agent=agent.socket)
    await offered_keys(keys)
    agent.add(path)

    assert keys.login_failure(ServerReplies()).agent == AgentKeys(agent.socket, frozenset())
    assert await AgentKeyLists().read(agent.socket) == frozenset({blob(path)})


async def test_an_agent_that_is_missing_has_no_list(folder: Path) -> None:
    socket = str(folder / "none.sock")
    keys = identities_of(identity_agent=socket)
    await offered_keys(keys)

    assert keys.login_failure(ServerReplies()).agent == AgentKeys(socket, None)
    assert await AgentKeyLists().read(socket) is None


async def test_an_agent_that_was_slow_is_not_asked_again(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(identities, "AGENT_TIMEOUT", 0.05)
    path = key_file(folder, "id")
    async with silent_server(at=folder / "agent.sock"):
        keys = identities_of(identity_agent=str(folder / "agent.sock"), identity_files=(path,))
        await keys.next_key()
        keys.close()

    assert keys.login_failure(ServerReplies()).agent is None


async def test_callers_share_one_list_for_a_while(
    folder: Path, agent: Agent, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(agent_module, "LIST_MAX_AGE", 3600.0)
    lists = AgentKeyLists()
    assert await lists.read(agent.socket) == frozenset()
    agent.add(key_file(folder, "id"))
    assert await lists.read(agent.socket) == frozenset()


async def test_a_hung_agent_has_no_list(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(agent_module, "LIST_TIMEOUT", 0.05)
    async with silent_server(at=folder / "agent.sock"):
        assert await AgentKeyLists().read(str(folder / "agent.sock")) is None


@pytest.mark.parametrize(
    ("now", "validity"),
    [
        (STARTS - 86400, (STARTS, ENDS)),
        (STARTS, (STARTS + START_RETRIES[1], ENDS)),
        (STARTS + START_RETRIES[1], (STARTS + START_RETRIES[2], ENDS)),
        (STARTS + START_RETRIES[2], None),
        (ENDS, None),
    ],
)
async def test_the_beginning_of_a_validity_is_waited_for(
    folder: Path, now: float, validity: tuple[float, float] | None
) -> None:
    path = key_file(folder, "id")
    write_certificate(path, STARTS)
    keys = identities_of(identity_files=(path,))
    keys.wall_time = clock_at(now)
    await offered_keys(keys)

    assert keys.login_failure(ServerReplies()).certificate_validity == validity


async def test_the_certificate_that_becomes_valid_first_counts(folder: Path) -> None:
    later, first = key_file(folder, "later"), key_file(folder, "first")
    write_certificate(later, STARTS + 1000)
    write_certificate(first, STARTS)
    keys = identities_of(identity_files=(later, first))
    keys.wall_time = clock_at(STARTS - 5)
    await offered_keys(keys)

    assert keys.login_failure(ServerReplies()).certificate_validity == (STARTS, ENDS)


def write_certificate(path: str, starts: int) -> None:
    key = asyncssh.read_public_key(f"{path}.pub")
    certificate = new_key().generate_user_certificate(
        key, "me", principals=["me"], valid_after=starts, valid_before=ENDS
    )
    certificate.write_certificate(f"{path}-cert.pub")


def clock_at(now: float) -> Callable[[], float]:
    return lambda: now
