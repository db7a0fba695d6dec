from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING

import asyncssh

from tests.ssh.progress_recorder import ProgressRecorder
from tests.ssh.server import Server, connected, new_key, serve
from tunnelkeeper.core.configuration import Host
from tunnelkeeper.ssh.auth.algorithms import NOTHING_KNOWN, ServerSignatures
from tunnelkeeper.ssh.auth.host_key_verifier import HostKeyVerifier
from tunnelkeeper.ssh.auth.identities import Identities, Offer
from tunnelkeeper.ssh.auth.known_hosts import KnownKeys
from tunnelkeeper.ssh.auth.private_keys import PrivateKeys
from tunnelkeeper.ssh.client_callbacks import MAX_TEXTS, ClientCallbacks

if TYPE_CHECKING:
    from pathlib import Path

    from tunnelkeeper.ssh.auth.agent import SessionBinding

HOST = Host("relay", "relay", "me")


class FaultyIdentities(Identities):
    async def next_key(
        self, server: ServerSignatures = NOTHING_KNOWN, binding: SessionBinding | None = None
    ) -> Offer | None:
        raise ZeroDivisionError("in the agent's\nanswer")


def make_callbacks(
    progress: ProgressRecorder, identities: Identities | None = None
) -> ClientCallbacks:
    verifier = HostKeyVerifier(HOST, 22, KnownKeys())
    return ClientCallbacks(verifier, identities or Identities(HOST, PrivateKeys()), progress.debug)


async def test_only_the_first_end_of_a_connection_is_recorded() -> None:
    callbacks, first = make_callbacks(ProgressRecorder()), ConnectionError("first")

    callbacks.connection_lost(first)
    callbacks.connection_lost(None)

    assert await callbacks.ended is first


async def test_a_server_cannot_fill_the_log_with_messages() -> None:
    texts: list[str] = []
    verifier = HostKeyVerifier(HOST, 22, KnownKeys())
    callbacks = ClientCallbacks(verifier, Identities(HOST, PrivateKeys()), texts.append)

    for number in range(10 * MAX_TEXTS):
        callbacks.auth_banner_received(f"text {number}", "")

    assert len(texts) == MAX_TEXTS + 1
    assert texts[-1] == "further messages of the server are not logged"


async def test_an_unknown_host_key_is_rejected() -> None:
    callbacks = make_callbacks(ProgressRecorder())

    assert callbacks.validate_host_public_key("relay", "192.0.2.1", 22, new_key()) is False
    assert callbacks._verifier.failure is not None


async def test_an_error_while_reading_the_keys_is_logged_and_offers_no_key() -> None:
    progress = ProgressRecorder()

    callbacks = make_callbacks(progress, FaultyIdentities(HOST, PrivateKeys()))
    callbacks._transport = SimpleNamespace(server_signatures=NOTHING_KNOWN, session_binding=None)  # type: ignore[assignment]

    assert await callbacks.public_key_auth_requested() is None
    assert progress.debugs == [
        'reading the keys failed: ZeroDivisionError("in the agent\'s\\nanswer")'
    ]


async def test_the_servers_banner_is_logged_in_printable_form(tmp_path: Path) -> None:
    class Greeting(asyncssh.SSHServer):
        def connection_made(self, conn: asyncssh.SSHServerConnection) -> None:
            self._connection = conn

        def begin_auth(self, username: str) -> bool:
            self._connection.send_auth_banner("Welcome\x1b[2J\n")
            return False

    progress = ProgressRecorder()
    async with (
        serve(tmp_path, server_factory=Greeting) as server,
        connected(server.host(), progress),
    ):
        pass

    assert "banner: Welcome\\x1b[2J" in progress.debugs


async def test_closing_the_connection_closes_the_agent(server: Server) -> None:
    async with connected(server.host()) as connection:
        identities = connection._callbacks._identities

    assert identities._agent._client is None
