"""What tests of every layer may ask for."""

from __future__ import annotations

import pytest

from tests.requirements import require


@pytest.fixture(scope="session")
def ssh() -> str:
    """The path of the ssh client, to compare with or to be asked."""
    return require("ssh")
