from __future__ import annotations

from tests.e2e.conftest import pytest_runtest_makereport, sandbox
from tests.relay.conftest import relay

__all__ = ["pytest_runtest_makereport", "relay", "sandbox"]
