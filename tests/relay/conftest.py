from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.e2e.conftest import pytest_runtest_makereport, sandbox, shared_sandbox
from tests.relay.in_process_relay import InProcessRelay, serve_relay

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

__all__ = ["pytest_runtest_makereport", "sandbox", "shared_sandbox"]


@pytest.fixture
async def relay(tmp_path: Path) -> AsyncIterator[InProcessRelay]:
    """Serve a relay with default settings, except for penalties."""
    async with serve_relay(tmp_path) as relay:
        yield relay
