"""Judgement of files that another user could have written or could replace."""

from __future__ import annotations

import os
import pwd
from typing import TYPE_CHECKING

import pytest

from tests.requirements import require_root
from tunnelkeeper.net.file_trust import (
    find_distrust,
    find_strict_distrust,
    is_root_mapped,
    judge_status,
)

if TYPE_CHECKING:
    from pathlib import Path

STRANGER = 65534


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "folder" / "file"
    path.parent.mkdir()
    path.touch(mode=0o644)
    return path


def test_a_file_of_the_user_in_a_folder_of_the_user_is_trusted(file: Path) -> None:
    assert find_distrust(file) is None


def test_files_of_the_system_are_trusted() -> None:
    assert find_distrust("/etc/passwd") is None


@pytest.mark.parametrize("mode", [0o666, 0o602])
def test_a_file_that_others_can_write_is_not_trusted(file: Path, mode: int) -> None:
    file.chmod(mode)

    assert str(find_distrust(file)) == f"{file} can be written by others (mode {mode:04o})"


def test_a_folder_that_others_can_write_is_not_trusted(file: Path) -> None:
    file.parent.chmod(0o777)

    assert str(find_distrust(file)) == f"{file.parent} can be written by others (mode 0777)"


def test_a_sticky_folder_is_trusted(file: Path) -> None:
    file.parent.chmod(0o1777)

    assert find_distrust(file) is None
    assert find_distrust(file.parent) is None


def test_a_file_of_a_stranger_is_not_trusted(file: Path) -> None:
    require_root()
    os.chown(file, STRANGER, STRANGER)

    assert str(find_distrust(file)) == f"{file} belongs to nobody (uid 65534)"
    assert find_distrust(file, STRANGER) is None


def test_a_folder_of_a_stranger_is_not_trusted(file: Path) -> None:
    require_root()
    os.chown(file.parent, STRANGER, STRANGER)

    assert str(find_distrust(file)) == f"{file.parent} belongs to nobody (uid 65534)"


def test_a_link_of_a_stranger_is_not_trusted(file: Path) -> None:
    require_root()
    link = file.parent / "link"
    link.symlink_to(file)
    os.lchown(link, STRANGER, STRANGER)

    reason = f"{link} is a symbolic link that belongs to nobody (uid 65534)"
    assert str(find_distrust(link)) == reason


def test_the_target_of_a_link_is_judged(tmp_path: Path, file: Path) -> None:
    file.chmod(0o666)
    link = tmp_path / "link"
    link.symlink_to("folder/../folder/file")

    found = find_distrust(link)

    assert found is not None
    assert found.path == str(file)


def test_the_mode_of_a_socket_does_not_matter(file: Path) -> None:
    file.chmod(0o666)

    assert find_distrust(file, owner_only=True) is None


def test_the_private_group_of_a_user_may_write(file: Path) -> None:
    file.chmod(0o664)
    os.chown(file, -1, os.getegid())
    status = file.stat()

    # The tests run as root, whose group is private, or as a user with any kind of group.
    if os.geteuid() == 0:
        assert judge_status(status) is None
        os.chown(file, -1, STRANGER)
        assert judge_status(file.stat()) == "can be written by others (mode 0664)"


def test_a_missing_file_is_judged_by_its_folders(file: Path) -> None:
    file.parent.chmod(0o777)

    found = find_distrust(file.parent / "missing")

    assert found is not None
    assert found.path == str(file.parent)


# -- strictly, for config files and keys -----------------------------------------------------------


def described(path: Path) -> list[str]:
    return [str(found.describe(str(path))) for found in find_strict_distrust(path)]


def test_a_private_file_in_private_folders_is_strictly_trusted(file: Path) -> None:
    assert described(file) == []


def test_a_group_that_is_not_private_may_not_write_a_config_file(file: Path) -> None:
    file.chmod(0o664)

    # The tests run as root, whose group is private, or as a user with any kind of group.
    if os.geteuid() == 0:
        assert described(file) == []
        os.chown(file, -1, STRANGER)
        [reason] = described(file)
        assert reason == f"can be written by others (mode 0664)\n  hint: chmod go-w {file}"


def test_a_file_and_all_its_folders_are_reported_together(file: Path, tmp_path: Path) -> None:
    file.chmod(0o666)
    file.parent.chmod(0o777)
    tmp_path.chmod(0o757)

    assert described(file) == [
        f"{tmp_path} can be written by others (mode 0757)\n  hint: chmod go-w {tmp_path}",
        f"{file.parent} can be written by others (mode 0777)\n  hint: chmod go-w {file.parent}",
        f"can be written by others (mode 0666)\n  hint: chmod go-w {file}",
    ]


def test_the_command_for_a_wrong_owner_quotes_the_path(tmp_path: Path) -> None:
    require_root()
    file = tmp_path / "a file\n"
    file.touch()
    os.chown(file, STRANGER, STRANGER)

    [reason] = described(file)
    command = f"chown -h root '{tmp_path}/a file\\n'"
    assert reason == (
        f"belongs to nobody (uid 65534)\n  hint: `{command}`, or run tunnelkeeper as that user"
    )


def test_folders_above_the_home_folder_do_not_count(
    file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tmp_path.chmod(0o777)
    assert described(file)

    us = pwd.getpwuid(os.geteuid())
    home = pwd.struct_passwd((*us[:5], str(file.parent), us[6]))
    monkeypatch.setattr(pwd, "getpwuid", lambda _uid: home)
    assert described(file) == []

    file.parent.chmod(0o777)  # the home folder itself
    assert described(file)


def test_devices_are_not_judged() -> None:
    assert find_strict_distrust("/dev/null") == []


@pytest.mark.parametrize(
    ("uid_map", "is_mapped"),
    [
        ("         0          0 4294967295\n", True),  # no namespace
        ("         0          0          1\n", True),  # unshare --map-root-user, by root
        ("         0       1000          1\n", False),  # the same by a user
        ("      1000       1000          1\n", False),  # bubblewrap
        ("0 1000 1\n1 100000 65536\n", False),  # rootless podman
    ],
)
def test_a_sandbox_without_root_is_recognized(uid_map: str, is_mapped: bool) -> None:
    assert is_root_mapped(uid_map) is is_mapped
