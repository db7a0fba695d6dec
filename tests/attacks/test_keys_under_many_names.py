"""A key or certificate that tries to get in as users it was not meant for, or more often."""

from __future__ import annotations

from contextlib import AsyncExitStack
from typing import TYPE_CHECKING

import asyncssh
import pytest

from tests.relay.in_process_relay import new_key, serve_relay
from tests.ssh.waiting import until
from tunnelkeeper.relay.config import RelayLimits

if TYPE_CHECKING:
    from pathlib import Path

LIMIT = 3
ATTEMPTS = 12


async def test_a_certificate_without_principals_logs_in_as_no_user(tmp_path: Path) -> None:
    authority, key = new_key(), new_key()
    async with serve_relay(tmp_path) as relay:
        relay.authorize(authority, "cert-authority")
        for principals, users in (([], ["box", "root", "ann"]), (["ann"], ["box", "root"])):
            certificate = authority.generate_user_certificate(key, "id", principals=principals)
            for user in users:
                with pytest.raises(asyncssh.PermissionDenied):
                    async with relay.client(key, user, client_certs=[certificate]):
                        pass

        certificate = authority.generate_user_certificate(key, "id", principals=["ann"])
        async with relay.client(key, "ann", client_certs=[certificate]):
            await until(lambda: [client.user for client in relay.clients] == ["ann"])


async def test_the_reason_of_a_refused_certificate_is_kept(tmp_path: Path) -> None:
    authority, key = new_key(), new_key()
    certificate = authority.generate_user_certificate(key, "id", principals=[])
    async with serve_relay(tmp_path) as relay:
        relay.authorize(authority, "cert-authority")
        with pytest.raises(asyncssh.PermissionDenied):
            async with relay.client(key, client_certs=[certificate]):  # offers the bare key, too
                pass
        await until(lambda: relay.server.status().refusals.recent)

        [refusal] = relay.server.status().refusals.recent
        assert refusal.reason.startswith("certificate: it has no principals (")
        assert refusal.reason.endswith("(attempts: 2)")


async def test_a_key_has_its_connections_once_for_all_names(tmp_path: Path) -> None:
    limits = RelayLimits(penalties=False, connections_per_key=LIMIT)
    async with serve_relay(tmp_path, limits=limits) as relay, AsyncExitStack() as stack:
        for number in range(ATTEMPTS):
            connection = await stack.enter_async_context(relay.client(user=f"name{number}"))
            if number >= LIMIT:
                await connection.wait_closed()

        assert len(relay.clients) == LIMIT
