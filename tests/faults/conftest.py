"""Fixtures of the fault tests; the site and the servers' logs are those of the end-to-end tests."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.e2e.conftest import pytest_runtest_makereport, site
from tests.faults.proof import Proof
from tests.faults.scene import Scene

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.e2e.site import Site

__all__ = ["pytest_runtest_makereport", "site"]


@pytest.fixture
def proof(request: pytest.FixtureRequest) -> Proof:
    """Return the test's @proves mark."""
    mark = request.node.get_closest_marker("proves")
    assert mark is not None, "a test on a scene says with @proves what it proves"
    found = mark.args[0]
    assert isinstance(found, Proof)
    return found


@pytest.fixture
def scene(site: Site, proof: Proof) -> Iterator[Scene]:
    """Set a scene up on this machine's loopback."""
    with Scene(site, proof) as scene:
        yield scene
