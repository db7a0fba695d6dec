from __future__ import annotations

from tests.e2e.conftest import pytest_runtest_makereport, sandbox

__all__ = ["pytest_runtest_makereport", "sandbox"]
