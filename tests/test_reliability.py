"""docs/reliability.md says what the fault tests prove, and nothing else."""

from __future__ import annotations

from collections import Counter

import pytest

from tests.faults import table


def test_the_table_of_faults_is_what_the_tests_prove() -> None:
    document = table.DOCUMENT.read_text()

    assert table.written_into(document) == document, "run: python -m tests.faults.table --write"


def test_each_fault_has_words_of_its_own() -> None:
    faults = Counter(proof.fault for proof in table.proofs())

    assert [fault for fault, times in faults.items() if times > 1] == []


def test_a_document_without_the_markers_is_refused() -> None:
    with pytest.raises(ValueError, match="faults: begin"):
        table.written_into("a page without a table")
