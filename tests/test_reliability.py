"""docs/reliability.md lists exactly the expectations of the fault tests."""

from __future__ import annotations

from collections import Counter

import pytest

from tests.faults import table


def test_the_document_contains_the_current_table_of_faults() -> None:
    document = table.DOCUMENT.read_text()

    assert table.written_into(document) == document, "run: python -m tests.faults.table --write"


def test_each_fault_has_a_unique_description() -> None:
    faults = Counter(expectation.fault for expectation in table.expectations())

    assert [fault for fault, times in faults.items() if times > 1] == []


def test_a_document_without_the_markers_is_refused() -> None:
    with pytest.raises(ValueError, match="faults: begin"):
        table.written_into("a page without a table")
