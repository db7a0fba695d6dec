from __future__ import annotations

import pytest

from tests.core.lifecycle_driver import LifecycleDriver


@pytest.fixture
def tunnel() -> LifecycleDriver:
    return LifecycleDriver()
