"""The English rules of CONTRIBUTING.md, as far as a search for phrases can hold them."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests import plain_english
from tests.plain_english import findings


def found_in(text: str, name: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    monkeypatch.setattr(plain_english, "ROOT", folder)
    (folder / name).write_text(text)
    return [finding.what.split(":")[0] for finding in findings(Path(name))]


@pytest.mark.parametrize(
    ("source", "found"),
    [
        ('"""Return nothing. Whoever calls it waits."""', ["'Whoever'"]),
        ("# as the server said", ["'said'"]),
        ('raise ValueError("it is to be a port")', ["'is to be'"]),
        ("def test_nobody_waits(): ...", ["'nobody'"]),
        (
            "# see core.succession and ssh/crowd.py",
            ["module core.succession", "module ssh/crowd.py"],
        ),
        ("from tunnelkeeper.core.states import State", []),
        ("something_said = 1  # an identifier of a variable", []),
    ],
)
def test_phrases_and_old_modules_are_found_in_python(
    source: str, found: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert found_in(source, "module.py", tmp_path, monkeypatch) == found


def test_phrases_are_found_in_documents(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = "Nothing here.\nIt connects anew, see `daemon.keeper`.\n"

    assert found_in(text, "page.md", tmp_path, monkeypatch) == ["'anew'", "module daemon.keeper"]


def test_the_search_covers_program_tests_and_documents() -> None:
    covered = {path.parts[0] for path in plain_english.files()}

    assert covered >= {"tunnelkeeper", "tests", "docs", "benchmarks", "examples", "README.md"}


def test_strings_of_tests_are_data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "tests").mkdir()
    source = '"""It is told."""\nUSER = "nobody"\n'

    assert found_in(source, "tests/test_it.py", tmp_path, monkeypatch) == ["'told'"]


def test_every_file_is_in_plain_english() -> None:
    assert [str(finding) for path in plain_english.files() for finding in findings(path)] == []
