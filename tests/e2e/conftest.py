"""Fixtures of the end-to-end tests, and the servers' logs in the report of one that fails."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.e2e import logbook
from tests.e2e.site import Site, new_site

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator

HERE = Path(__file__).parent
DEADLINE = 90
"""Seconds for one test: each waits for what it expects with a shorter deadline of its own."""


@pytest.fixture
def site() -> Iterator[Site]:
    with new_site() as site:
        yield site


@pytest.fixture(scope="module")
def shared_site() -> Iterator[Site]:
    """A site for all tests of a file, where they only look and never break anything."""
    with new_site() as site:
        yield site


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    if report.failed:
        report.sections.extend(logbook.sections())
    return report


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if HERE in item.path.parents:  # this hook is shown the items of every directory
            item.add_marker(pytest.mark.timeout(DEADLINE))
