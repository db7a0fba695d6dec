from __future__ import annotations

import ast
import hashlib
import os
import subprocess
import sys
import zipfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from distribution import launcher
from distribution.single_file import write_archive
from distribution.site_packages import NEWEST_GLIBC
from tests.requirements import require_root

TAG = launcher.tag_of(sys.version_info[:2], os.uname().machine)
PRINTS_WHERE_IT_RUNS = b"import sys; print(sys.executable, sys.prefix, sys.argv[1:])"


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    """Write a file for this Python that prints where it runs."""
    return write(tmp_path / "tunnelkeeper.pyz", {"bin/tunnelkeeper": PRINTS_WHERE_IT_RUNS})


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    return tmp_path / "cache"


def write(path: Path, files: dict[str, bytes], tag: str = TAG) -> Path:
    source = Path(launcher.__file__).read_text()
    write_archive(path, {tag: files}, source, 0.0)
    return path


def start(archive: Path, cache: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, str(archive), *arguments],
        env={"TUNNELKEEPER_CACHE": str(cache), "PATH": os.defpath},
        capture_output=True,
        text=True,
        check=False,
    )


def prepare(archive: Path, cache: Path) -> Path:
    return launcher.prepare(launcher.Archive(archive), TAG, cache, Path(sys.executable).resolve())


def test_the_file_runs_in_an_environment_below_the_cache(archive: Path, cache: Path) -> None:
    ended = start(archive, cache, "up", "--detach")

    assert ended.stderr == ""
    [folder] = cache.iterdir()
    assert ended.stdout.split()[:2] == [str(folder / "bin/python3"), str(folder)]
    assert ended.stdout.endswith(f"['{archive}', 'up', '--detach']\n")
    assert cache.stat().st_mode & 0o777 == 0o700


def test_the_second_start_unpacks_nothing(archive: Path, cache: Path) -> None:
    script = prepare(archive, cache) / "bin/tunnelkeeper"
    before = script.stat()

    prepare(archive, cache)

    assert script.stat().st_ino == before.st_ino


def test_a_file_that_a_cleaner_removed_is_unpacked_again(archive: Path, cache: Path) -> None:
    script = prepare(archive, cache) / "bin/tunnelkeeper"
    script.unlink()

    prepare(archive, cache)

    assert script.read_bytes() == PRINTS_WHERE_IT_RUNS
    assert [path.name for path in cache.iterdir()] == [script.parents[1].name]


def test_another_content_has_another_folder(archive: Path, cache: Path, tmp_path: Path) -> None:
    newer = write(tmp_path / "newer.pyz", {"bin/tunnelkeeper": b"print('newer')"})

    assert prepare(archive, cache) != prepare(newer, cache)


def test_processes_that_start_at_once_all_find_a_complete_environment(
    archive: Path, cache: Path
) -> None:
    with ThreadPoolExecutor(8) as threads:
        folders = set(threads.map(lambda _: prepare(archive, cache), range(8)))

    [folder] = folders
    assert [path.name for path in cache.iterdir()] == [folder.name]


def test_a_damaged_file_is_refused_and_leaves_nothing(archive: Path, cache: Path) -> None:
    digest = hashlib.sha256(PRINTS_WHERE_IT_RUNS).hexdigest()
    with zipfile.ZipFile(archive) as intact:
        kept = {name: intact.read(name) for name in intact.namelist()}
    kept[f"files/{digest}"] = b"changed"
    with zipfile.ZipFile(archive, "w") as damaged:
        for name, content in kept.items():
            damaged.writestr(name, content)

    with pytest.raises(launcher.LaunchError, match="the hash of bin/tunnelkeeper differs"):
        prepare(archive, cache)

    assert not any(cache.iterdir())


def test_a_cache_that_others_can_read_becomes_private(archive: Path, cache: Path) -> None:
    cache.mkdir(0o755)
    prepare(archive, cache)

    assert cache.stat().st_mode & 0o777 == 0o700


def test_a_cache_below_a_folder_that_others_can_write_is_refused(
    archive: Path, tmp_path: Path
) -> None:
    shared = tmp_path / "shared"
    shared.mkdir()
    shared.chmod(0o777)

    ended = start(archive, shared / "cache")

    assert ended.returncode == 1
    assert f"because of {shared}; set TUNNELKEEPER_CACHE" in ended.stderr


def test_a_cache_in_a_sticky_folder_is_used(archive: Path, tmp_path: Path) -> None:
    shared = tmp_path / "shared"
    shared.mkdir()
    shared.chmod(0o1777)

    assert start(archive, shared / "cache").returncode == 0


def test_a_cache_of_another_user_is_refused(archive: Path, tmp_path: Path) -> None:
    require_root()
    shared = tmp_path / "shared"
    planted = shared / "cache"
    planted.mkdir(parents=True)
    shared.chmod(0o1777)
    os.chown(planted, 65534, 65534)

    ended = start(archive, planted)

    assert ended.returncode == 1
    assert "another user could replace the program" in ended.stderr
    assert not any(planted.iterdir())


def test_another_platform_is_named_with_those_that_are_served(tmp_path: Path, cache: Path) -> None:
    other = write(tmp_path / "other.pyz", {"bin/tunnelkeeper": b""}, tag="cp311-riscv64")

    ended = start(other, cache)

    assert ended.returncode == 1
    assert f"serves Linux with glibc 2.28 or newer on cp311-riscv64; this is {TAG}" in ended.stderr


def test_the_cache_is_that_of_the_user_and_for_root_that_of_its_account() -> None:
    of = launcher.cache_folder

    assert of({"HOME": "/home/me"}, 1000) == Path("/home/me/.cache/tunnelkeeper/pyz")
    assert of({"HOME": "/home/me", "XDG_CACHE_HOME": "/c"}, 1000) == Path("/c/tunnelkeeper/pyz")
    assert of({"TUNNELKEEPER_CACHE": "/x/../y"}, 1000) == Path("/y")
    assert "/home/me" not in str(of({"HOME": "/home/me", "XDG_CACHE_HOME": "/home/me/c"}, 0))
    with pytest.raises(launcher.LaunchError, match="no home; set TUNNELKEEPER_CACHE"):
        of({}, 3_999_999)


@pytest.mark.parametrize(
    ("library", "release", "is_served"),
    [
        ("glibc", "2.28", True),
        ("glibc", "2.41", True),
        ("glibc", "2.17", False),
        ("", "", False),  # musl
        ("libc", "", False),
    ],
)
def test_the_c_library_is_checked(library: str, release: str, is_served: bool) -> None:
    assert launcher.has_glibc(library, release) is is_served


def test_the_launcher_knows_what_the_wheels_were_chosen_for() -> None:
    assert launcher.OLDEST_GLIBC == NEWEST_GLIBC


def test_an_old_python_can_read_the_launcher() -> None:
    ast.parse(Path(launcher.__file__).read_text(), feature_version=(3, 7))
