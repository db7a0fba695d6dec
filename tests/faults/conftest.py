"""Fixtures of the fault tests; `sandbox` and the report of logs come from the end-to-end tests."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.e2e.conftest import pytest_runtest_makereport, sandbox
from tests.faults.expectation import Expectation
from tests.faults.scenario import Scenario

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.e2e.sandbox import Sandbox

__all__ = ["pytest_runtest_makereport", "sandbox"]


@pytest.fixture
def expectation(request: pytest.FixtureRequest) -> Expectation:
    """Return the expectation in the test's @expects mark."""
    mark = request.node.get_closest_marker("expects")
    assert mark is not None, "a test that uses a scenario needs @expects or @withstands"
    found = mark.args[0]
    assert isinstance(found, Expectation)
    return found


@pytest.fixture
def scenario(sandbox: Sandbox, expectation: Expectation) -> Iterator[Scenario]:
    """Set up a scenario on the loopback interface."""
    with Scenario(sandbox, expectation) as scenario:
        yield scenario
