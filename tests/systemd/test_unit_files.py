from __future__ import annotations

import stat
from typing import TYPE_CHECKING

import pytest

from tunnelkeeper.systemd import unit_files
from tunnelkeeper.systemd.unit_files import ForeignUnitError
from tunnelkeeper.systemd.unit_templates import MARKER, RELAY, SUPERVISOR, TEMPLATE

if TYPE_CHECKING:
    from pathlib import Path

OURS = f"{MARKER}\n[Service]\nExecStart=/new\n"
OLD = f"{MARKER}\n[Service]\nExecStart=/old\n"
THEIRS = "[Service]\nExecStart=/theirs\n"


def test_files_are_written_and_parent_directories_created(tmp_path: Path) -> None:
    directory = tmp_path / "systemd" / "user"

    assert unit_files.write_units(directory, {SUPERVISOR: OURS, RELAY: OURS}) == [SUPERVISOR, RELAY]
    assert {path.name: path.read_text() for path in directory.iterdir()} == {
        SUPERVISOR: OURS,
        RELAY: OURS,
    }
    assert stat.S_IMODE((directory / RELAY).stat().st_mode) == 0o644


def test_only_changed_files_are_rewritten(tmp_path: Path) -> None:
    unit_files.write_units(tmp_path, {SUPERVISOR: OURS, RELAY: OLD})
    before = (tmp_path / SUPERVISOR).stat().st_ino

    assert unit_files.write_units(tmp_path, {SUPERVISOR: OURS, RELAY: OURS}) == [RELAY]
    assert (tmp_path / SUPERVISOR).stat().st_ino == before


def test_a_foreign_unit_blocks_writing_and_removal(
    tmp_path: Path,
) -> None:
    (tmp_path / RELAY).write_text(THEIRS)

    with pytest.raises(ForeignUnitError, match="not written by tunnelkeeper"):
        unit_files.write_units(tmp_path, {SUPERVISOR: OURS, RELAY: OURS})
    with pytest.raises(ForeignUnitError, match="not written by tunnelkeeper"):
        unit_files.remove_units(tmp_path, [SUPERVISOR, RELAY])

    assert [path.name for path in tmp_path.iterdir()] == [RELAY]
    assert (tmp_path / RELAY).read_text() == THEIRS


@pytest.mark.parametrize("target", ["ours", "/dev/null", "nowhere"])
def test_a_symbolic_link_is_refused_with_any_target(tmp_path: Path, target: str) -> None:
    (tmp_path / "ours").write_text(OLD)
    (tmp_path / SUPERVISOR).symlink_to(target)

    with pytest.raises(ForeignUnitError, match=f"symbolic link to {target}"):
        unit_files.write_units(tmp_path, {SUPERVISOR: OURS})
    with pytest.raises(ForeignUnitError, match="symbolic link"):
        unit_files.remove_units(tmp_path, [SUPERVISOR])

    assert unit_files.own_units(tmp_path) == []
    assert (tmp_path / SUPERVISOR).is_symlink()
    assert (tmp_path / "ours").read_text() == OLD


def test_a_directory_with_the_name_of_a_unit_is_refused(tmp_path: Path) -> None:
    (tmp_path / SUPERVISOR).mkdir()

    with pytest.raises(ForeignUnitError):
        unit_files.write_units(tmp_path, {SUPERVISOR: OURS})


def test_our_own_units_are_found_and_removed(tmp_path: Path) -> None:
    unit_files.write_units(tmp_path, {SUPERVISOR: OLD, TEMPLATE: OURS})
    (tmp_path / RELAY).write_text(THEIRS)

    assert unit_files.own_units(tmp_path) == [SUPERVISOR, TEMPLATE]
    unit_files.remove_units(tmp_path, [SUPERVISOR, TEMPLATE])
    unit_files.remove_units(tmp_path, [SUPERVISOR])
    assert [path.name for path in tmp_path.iterdir()] == [RELAY]


def test_a_failed_write_leaves_no_partial_file(tmp_path: Path) -> None:
    with pytest.raises(UnicodeEncodeError):
        unit_files.write_units(tmp_path, {SUPERVISOR: f"{MARKER}\n\udce9"})

    assert list(tmp_path.iterdir()) == []
