"""Which supervisor writes to which log file."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from tunnelkeeper.control import lock_files, log_files
from tunnelkeeper.control.log_files import LogInUseError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def usual(tmp_path: Path) -> Path:
    return tmp_path / "t.log"


@pytest.fixture
def claimed(usual: Path) -> Iterator[int]:
    """Claim the usual file for the socket a."""
    descriptor = log_files.claim(usual, usual.with_name("a"))
    yield descriptor
    os.close(descriptor)


@pytest.mark.usefixtures("claimed")
def test_a_file_has_one_writer(usual: Path) -> None:
    with pytest.raises(LogInUseError, match=str(usual)):
        log_files.claim(usual, usual.with_name("b"))


def test_the_usual_file_is_chosen_first(usual: Path) -> None:
    assert log_files.choose(usual, usual.with_name("a")) == usual


@pytest.mark.usefixtures("claimed")
def test_a_second_supervisor_gets_another_file(usual: Path) -> None:
    assert log_files.choose(usual, usual.with_name("b")) == usual.with_name("t-2.log")


@pytest.mark.usefixtures("claimed")
def test_a_supervisor_returns_to_its_own_file(usual: Path) -> None:
    second = usual.with_name("t-2.log")
    os.close(log_files.claim(second, usual.with_name("b")))
    os.close(log_files.claim(usual.with_name("t-3.log"), usual.with_name("c")))

    assert log_files.choose(usual, usual.with_name("b")) == second
    assert log_files.choose(usual, usual.with_name("d")) == second


def test_the_number_of_names_is_limited(usual: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lock_files, "is_locked", lambda _path: True)
    with pytest.raises(FileExistsError):
        log_files.choose(usual, usual.with_name("a"))


@pytest.mark.usefixtures("claimed")
def test_the_log_of_a_socket_is_found(usual: Path) -> None:
    second = usual.with_name("t-2.log")
    os.close(log_files.claim(second, usual.with_name("b")))
    usual.touch()
    second.touch()

    assert log_files.find(usual, usual.with_name("a")) == [usual]
    assert log_files.find(usual, usual.with_name("b")) == [second]
    assert log_files.find(usual, usual.with_name("c")) == [usual, second]
