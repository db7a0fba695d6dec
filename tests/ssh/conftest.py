"""The server that most of these tests talk to."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.ssh.server import Server, connected, serve

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from tunnelkeeper.ssh.connection import Connection


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[Server]:
    async with serve(tmp_path) as server:
        yield server


@pytest.fixture
async def connection(server: Server) -> AsyncIterator[Connection]:
    async with connected(server.host()) as connection:
        yield connection
