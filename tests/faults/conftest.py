"""Fixtures of the fault tests; the site and the servers' logs are those of the end-to-end tests."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.e2e.conftest import pytest_runtest_makereport, site
from tests.faults.expectation import Expectation
from tests.faults.scenario import Scenario

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.e2e.site import Site

__all__ = ["pytest_runtest_makereport", "site"]


@pytest.fixture
def expectation(request: pytest.FixtureRequest) -> Expectation:
    """Return the expectation in the test's @expects mark."""
    mark = request.node.get_closest_marker("expects")
    assert mark is not None, "a test on a scenario says with @expects what it proves"
    found = mark.args[0]
    assert isinstance(found, Expectation)
    return found


@pytest.fixture
def scenario(site: Site, expectation: Expectation) -> Iterator[Scenario]:
    """Set a scenario up on this machine's loopback."""
    with Scenario(site, expectation) as scenario:
        yield scenario
