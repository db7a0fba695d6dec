"""Local forwards that are limited to users and to clients with a password."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from tests.forwarding.services import client, read_all
from tests.forwarding.sites import local_site
from tests.forwarding.test_local_clients import TARGET, FakeConnection
from tests.requirements import require_root
from tests.ssh.waiting import until
from tunnelkeeper.forwarding import client_users

if TYPE_CHECKING:
    from pathlib import Path

OTHER = 12345
LOGIN = b"\x05\x01\x02\x01\x03ann\x06secret"
REQUEST = b"\x05\x01\x00\x03\x07db.home" + (5432).to_bytes(2)


async def test_a_client_of_an_allowed_user_is_served() -> None:
    connection = FakeConnection()
    async with (
        local_site(TARGET, connection, allow_users=(os.geteuid(),)) as site,
        client(site.port),
    ):
        await until(lambda: connection.opened)

        assert site.errors == []


async def test_a_client_of_another_user_is_reset() -> None:
    connection = FakeConnection()
    async with (
        local_site(TARGET, connection, allow_users=(OTHER,)) as site,
        client(site.port) as (reader, _),
    ):
        with pytest.raises(ConnectionResetError):
            await read_all(reader)

        assert connection.opened == []
        assert "who is not in allow_users" in site.errors[0]


async def test_a_user_who_is_refused_again_and_again_is_looked_up_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    lookups: list[int] = []

    def describe(uid: int) -> str:
        lookups.append(uid)
        return "someone"

    monkeypatch.setattr(client_users, "describe_user", describe)
    client_users._describe.cache_clear()
    async with local_site(TARGET, FakeConnection(), allow_users=(OTHER,)) as site:
        for _ in range(3):
            async with client(site.port) as (reader, _):
                with pytest.raises(ConnectionResetError):
                    await read_all(reader)
        assert len(site.errors) == 3
    client_users._describe.cache_clear()

    assert lookups == [os.geteuid()]


async def test_each_client_has_its_own_user() -> None:
    require_root()
    connection = FakeConnection()
    async with local_site(TARGET, connection, allow_users=(OTHER,)) as site:
        os.seteuid(OTHER)
        try:
            opening = client(site.port)
            async with opening:
                await until(lambda: connection.opened)
        finally:
            os.seteuid(0)

        async with client(site.port) as (reader, _):
            with pytest.raises(ConnectionResetError):
                await read_all(reader)

        assert len(connection.opened) == 1
        assert site.errors == ["refused a client of root (uid 0), who is not in allow_users"]


async def test_a_new_password_takes_effect_at_once(tmp_path: Path) -> None:
    file = tmp_path / "passwords"
    file.touch(mode=0o600)
    connection = FakeConnection()
    async with local_site(None, connection, password_file=str(file)) as site:
        file.write_text("ann:changed\n")
        async with client(site.port) as (reader, writer):
            writer.write(LOGIN)
            assert await read_all(reader) == b"\x05\x02\x01\x01"

        file.write_text("ann:secret\n")
        async with client(site.port) as (reader, writer):
            writer.write(LOGIN + REQUEST)
            assert await reader.readexactly(4) == b"\x05\x02\x01\x00"
            await until(lambda: connection.opened)

    assert site.errors == ["SOCKS5: wrong user or password"]


async def test_without_its_password_file_a_proxy_serves_no_client(tmp_path: Path) -> None:
    async with (
        local_site(None, password_file=str(tmp_path / "missing")) as site,
        client(site.port) as (reader, _),
    ):
        with pytest.raises(ConnectionResetError):
            await read_all(reader)

    assert site.errors == [f"password file {tmp_path / 'missing'}: No such file or directory"]
