"""The claim of a supervisor to a config file."""

from __future__ import annotations

import os
import stat
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tunnelkeeper.control import file_claim, lock_files
from tunnelkeeper.control.file_claim import (
    FileClaim,
    FileClaimedError,
    claim_path,
    socket_of_holder,
)

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(autouse=True)
def do_not_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(file_claim, "LOCK_TIMEOUT", 0)


@contextmanager
def claim(
    folder: Path, socket: str = "/run/a.sock", config: str = "t.toml", *, is_partial: bool = False
) -> Iterator[FileClaim]:
    claim = FileClaim(folder / "claims", folder / config, Path(socket), is_partial=is_partial)
    try:
        claim.acquire()
        yield claim
    finally:
        claim.release()


def test_the_holder_s_socket_is_found_until_it_ends(tmp_path: Path) -> None:
    config = tmp_path / "t.toml"
    with claim(tmp_path):
        assert socket_of_holder(tmp_path / "claims", config) == Path("/run/a.sock")
        assert socket_of_holder(tmp_path / "claims", tmp_path / "other.toml") is None

    assert socket_of_holder(tmp_path / "claims", config) is None
    assert socket_of_holder(tmp_path / "none", config) is None


def test_the_socket_may_have_any_name(tmp_path: Path) -> None:
    socket = os.fsdecode(b"/run/\xff \xc3\xa4.sock")
    with claim(tmp_path, socket):
        assert socket_of_holder(tmp_path / "claims", tmp_path / "t.toml") == Path(socket)


@pytest.mark.parametrize("text", ["", "1", "1\n", "1\nnonsense\n", "\xff" * 9000])
def test_a_damaged_claim_file_names_no_socket(tmp_path: Path, text: str) -> None:
    with claim(tmp_path):
        claim_path(tmp_path / "claims", tmp_path / "t.toml").write_text(text)
        assert socket_of_holder(tmp_path / "claims", tmp_path / "t.toml") is None


def test_single_tunnels_have_no_socket_for_the_whole_file(tmp_path: Path) -> None:
    with claim(tmp_path):
        pass
    with claim(tmp_path, is_partial=True) as partial:
        partial.claim(["db"])
        assert socket_of_holder(tmp_path / "claims", tmp_path / "t.toml") is None


def test_machines_that_share_the_folder_have_a_supervisor_each(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with claim(tmp_path):
        monkeypatch.setattr(file_claim, "gethostname", lambda: "another")
        assert socket_of_holder(tmp_path / "claims", tmp_path / "t.toml") is None
        with claim(tmp_path, "/run/b.sock"):
            assert socket_of_holder(tmp_path / "claims", tmp_path / "t.toml") == Path("/run/b.sock")


def test_a_refused_claim_leaves_the_others(tmp_path: Path) -> None:
    with (
        claim(tmp_path, "/run/a.sock", is_partial=True) as first,
        claim(tmp_path, "/run/b.sock", is_partial=True) as second,
    ):
        first.claim(["db", "web"])
        with pytest.raises(FileClaimedError, match=r"'web' of .* is held by .*/run/a\.sock"):
            second.claim(["mail", "web"])
        first.claim(["mail"])
        first.claim(["mail", "db"])


def test_a_claim_that_cannot_be_written_is_given_up(tmp_path: Path) -> None:
    with claim(tmp_path, is_partial=True) as partial:
        path = claim_path(tmp_path / "claims", tmp_path / "t.toml").with_suffix(".db.lock")
        os.mkfifo(path)  # a FIFO can be locked but not truncated
        with pytest.raises(OSError, match="Invalid argument"):
            partial.claim(["db"])
        assert not lock_files.is_locked(path)


def test_a_link_that_changes_leaves_the_claims_to_single_tunnels_together(tmp_path: Path) -> None:
    (tmp_path / "t.toml").symlink_to("old.toml")
    with claim(tmp_path, is_partial=True) as first:
        (tmp_path / "t.toml").unlink()
        (tmp_path / "t.toml").symlink_to("new.toml")
        first.claim(["db"])
        with (
            claim(tmp_path, "/run/b.sock", "old.toml", is_partial=True) as second,
            pytest.raises(FileClaimedError, match=r"'db' of .*old\.toml is held"),
        ):
            second.claim(["db"])


def test_links_that_form_a_loop_have_no_holder(tmp_path: Path) -> None:
    (tmp_path / "t.toml").symlink_to("t.toml")
    assert socket_of_holder(tmp_path / "claims", tmp_path / "t.toml") is None


def test_a_look_for_the_holder_does_not_refuse_a_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(file_claim, "LOCK_TIMEOUT", 60)
    with claim(tmp_path, is_partial=True) as looking:
        monkeypatch.setattr("time.sleep", lambda _: looking.release())
        with claim(tmp_path, "/run/b.sock"):
            assert socket_of_holder(tmp_path / "claims", tmp_path / "t.toml") == Path("/run/b.sock")


def test_claim_files_are_private_and_links_are_not_followed(tmp_path: Path) -> None:
    with claim(tmp_path):
        path = claim_path(tmp_path / "claims", tmp_path / "t.toml")
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    victim = tmp_path / "victim"
    victim.write_text("precious")
    path.unlink()
    path.symlink_to(victim)

    with pytest.raises(OSError, match="symbolic"), claim(tmp_path):
        pass
    assert victim.read_text() == "precious"


def test_without_a_claim_to_the_file_single_tunnels_are_not_claimed(tmp_path: Path) -> None:
    (tmp_path / "claims").write_text("in the way")
    partial = FileClaim(tmp_path / "claims", tmp_path / "t.toml", Path("/s"), is_partial=True)
    with pytest.raises(FileExistsError):
        partial.acquire()

    partial.claim(["db"])
