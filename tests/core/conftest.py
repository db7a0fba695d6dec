from __future__ import annotations

import pytest

from tests.core.lives import TunnelLife


@pytest.fixture
def tunnel() -> TunnelLife:
    return TunnelLife()
