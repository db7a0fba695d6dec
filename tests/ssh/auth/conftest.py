"""Fixtures of the tests of logins."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.ssh.auth.offers import Agent
from tests.ssh.waiting import until

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path


@pytest.fixture
async def agent(tmp_path: Path) -> AsyncIterator[Agent]:
    agent = Agent(tmp_path)
    await until(agent.is_running)
    yield agent
    agent.end()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path
