"""Files of users, and reloading of a changed file at the next login."""

from __future__ import annotations

import asyncio
import logging
import os
import threading
from typing import TYPE_CHECKING

import pytest

from tests.fake_clock import until
from tests.relay.authorized_keys_lines import blob, line
from tunnelkeeper.net import thread_executor
from tunnelkeeper.net.regular_file import read_regular_file
from tunnelkeeper.relay import authorized_keys_store
from tunnelkeeper.relay.authorized_keys_store import AuthorizedKeysStore, find_problems
from tunnelkeeper.relay.key_file import NO_KEYS
from tunnelkeeper.ssh.auth import file_cache

if TYPE_CHECKING:
    from pathlib import Path


def write_keys(path: Path, *seeds: int) -> Path:
    """Write an authorized_keys file with the keys of these numbers."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(f"{line(seed=seed)}\n" for seed in seeds))
    return path


def numbers(store: AuthorizedKeysStore, user: str) -> list[int]:
    known = {blob(seed): seed for seed in range(1, 10)}
    return [known[key.blob] for key in store.keys_for_blocking(user)]


def test_one_file_serves_every_user(tmp_path: Path) -> None:
    store = AuthorizedKeysStore(str(write_keys(tmp_path / "keys", 1, 2)))

    assert numbers(store, "ann") == numbers(store, "bob") == [1, 2]


def test_each_user_can_have_a_separate_file(tmp_path: Path) -> None:
    write_keys(tmp_path / "ann", 1)
    write_keys(tmp_path / "bob", 2)
    store = AuthorizedKeysStore(f"{tmp_path}/%u")

    assert [numbers(store, user) for user in ("ann", "bob", "eve")] == [[1], [2], []]


@pytest.mark.parametrize(
    "user",
    [
        "../outside",
        "..",
        ".",
        "",
        ".hidden",
        "a/b",
        "/etc/passwd",
        "ann\n",
        "ann\0",
        "%u",
        "ann bob",
        "a" * 65,
        "änn",
        "-ann",
    ],
)
def test_a_user_name_that_is_not_plain_has_no_keys(tmp_path: Path, user: str) -> None:
    for name in ("outside", "keys/.hidden", "keys/ann", "keys/a/b"):
        write_keys(tmp_path / name, 1)
    write_keys(tmp_path / "one", 1)

    assert numbers(AuthorizedKeysStore(f"{tmp_path}/keys/%u"), user) == []
    assert numbers(AuthorizedKeysStore(f"{tmp_path}/one"), user) == []


def test_tokens_are_replaced_once(tmp_path: Path) -> None:
    write_keys(tmp_path / "100%" / "ann.keys", 1)
    write_keys(tmp_path / "%u", 2)

    assert numbers(AuthorizedKeysStore(f"{tmp_path}/100%%/%u.keys"), "ann") == [1]
    assert numbers(AuthorizedKeysStore(f"{tmp_path}/%%u"), "ann") == [2]


def test_a_changed_file_counts_at_the_next_login(tmp_path: Path) -> None:
    path = write_keys(tmp_path / "keys", 1)
    store = AuthorizedKeysStore(str(path))
    assert numbers(store, "ann") == [1]

    write_keys(path, 2, 3)
    assert numbers(store, "ann") == [2, 3]
    path.unlink()
    assert numbers(store, "ann") == []
    write_keys(path, 4)
    assert numbers(store, "ann") == [4]


def test_an_unchanged_file_is_not_read_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(file_cache, "TIMESTAMP_STEP_NS", 0)
    path = write_keys(tmp_path / "keys", 1)
    store = AuthorizedKeysStore(str(path))
    first = store.keys_for_blocking("ann")

    assert store.keys_for_blocking("bob") is first


def test_a_replaced_file_of_the_same_time_and_size_counts(tmp_path: Path) -> None:
    path = write_keys(tmp_path / "keys", 1)
    store = AuthorizedKeysStore(str(path))
    store.keys_for_blocking("ann")
    before = path.stat()
    other = write_keys(tmp_path / "other", 2)
    os.utime(other, ns=(before.st_atime_ns, before.st_mtime_ns))
    other.rename(path)

    assert numbers(store, "ann") == [2]


def test_a_bad_line_is_skipped_with_one_log_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(file_cache, "TIMESTAMP_STEP_NS", 0)
    path = tmp_path / "keys"
    path.write_bytes(b"nonsense\n\xff\xfe\n" + line(seed=1).encode() + b" caf\xe9\n")
    store = AuthorizedKeysStore(str(path))
    caplog.set_level(logging.WARNING, "tunnelkeeper")

    assert numbers(store, "ann") == numbers(store, "bob") == [1]
    assert [record.getMessage().split(": ")[0] for record in caplog.records] == [
        f"{path}:1",
        f"{path}:2",
    ]


def test_an_unreadable_file_gives_no_keys_and_is_logged(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    assert AuthorizedKeysStore(str(tmp_path)).keys_for_blocking("ann") is NO_KEYS
    assert "cannot read authorized keys" in caplog.text


def test_an_unknown_user_leaves_no_log_line(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    assert AuthorizedKeysStore(f"{tmp_path}/%u").keys_for_blocking("eve") is NO_KEYS
    assert caplog.text == ""


# -- relay check -----------------------------------------------------------------------------------


def test_check_warns_if_no_authorized_keys_file_exists(tmp_path: Path) -> None:
    for pattern in (f"{tmp_path}/none", f"{tmp_path}/none/%u", f"{tmp_path}/%u"):
        [problem] = find_problems(pattern)
        assert str(problem) == f"{pattern}: no such file; no user can log in"


@pytest.mark.parametrize("pattern", ["%u", "%u.keys", "keys-%u", "%u/authorized_keys", "100%%/%u"])
def test_check_reads_the_files_of_all_users(tmp_path: Path, pattern: str) -> None:
    folder = tmp_path / "keys"
    path = folder / pattern.replace("%u", "ann").replace("%%", "%")
    path.parent.mkdir(parents=True)
    path.write_text("nonsense\n")
    (folder / ".other").write_text("nonsense\n")

    [problem] = find_problems(f"{folder}/{pattern}")
    assert (problem.path, problem.line) == (str(path), 1)
    assert str(problem).startswith(f"{path}:1: ")


async def test_a_file_on_a_disk_that_hangs_delays_its_own_user_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    write_keys(tmp_path / "ann", 1)
    write_keys(tmp_path / "bob", 2)
    release = threading.Event()

    def hang(path: str) -> bytes:
        if path.endswith("bob"):
            release.wait()
        return read_regular_file(path)

    monkeypatch.setattr(f"{authorized_keys_store.__name__}.read_regular_file", hang)
    monkeypatch.setattr(thread_executor, "READ_TIMEOUT", 0.1)
    monkeypatch.setattr(authorized_keys_store, "MAX_READS", 2)
    store = AuthorizedKeysStore(f"{tmp_path}/%u")
    try:
        assert await store.keys_for("bob") is NO_KEYS
        assert f"{tmp_path}/bob: not read within 0.1 s" in caplog.text
        assert [key.blob for key in await store.keys_for("ann")] == [blob(1)]
        monkeypatch.setattr(authorized_keys_store, "MAX_READS", 1)
        assert await store.keys_for("ann") is NO_KEYS
        assert "1 other files are not read yet" in caplog.text
    finally:
        release.set()
    await until(lambda: not store._executor)
    assert [key.blob for key in await store.keys_for("bob")] == [blob(2)]


async def test_all_of_many_users_who_log_in_at_the_same_time_have_their_keys(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    users = [f"user{number}" for number in range(1, 10)]
    for seed, user in enumerate(users, start=1):
        write_keys(tmp_path / user, seed)
    monkeypatch.setattr(authorized_keys_store, "MAX_READS", 3)
    monkeypatch.setattr(authorized_keys_store, "READS_AT_ONCE", 2)
    monkeypatch.setattr(authorized_keys_store, "READ_PATIENCE", 600)
    store = AuthorizedKeysStore(f"{tmp_path}/%u")

    found = await asyncio.gather(*map(store.keys_for, users))

    assert [key.blob for keys in found for key in keys] == [blob(seed) for seed in range(1, 10)]
