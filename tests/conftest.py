"""What tests of every layer may ask for."""

from __future__ import annotations

import pytest
from hypothesis import settings

from tests.requirements import require

# How long an example takes is the machine's business, not the test's.
settings.register_profile("any machine", deadline=None)
settings.load_profile("any machine")


@pytest.fixture(scope="session")
def ssh() -> str:
    """The path of the ssh client, to compare with or to be asked."""
    return require("ssh")
