from __future__ import annotations

import os
import threading
from typing import TYPE_CHECKING

import asyncssh
import pytest

from tests.e2e.keys import make_key
from tests.fake_clock import until
from tests.ssh.server import new_key, write_key
from tunnelkeeper.net import thread_executor
from tunnelkeeper.net.regular_file import read_regular_file
from tunnelkeeper.ssh.auth import file_cache
from tunnelkeeper.ssh.auth.private_keys import (
    KeyProblem,
    PrivateKeys,
    Unusable,
)

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "id_ed25519"


def problem_of(path: Path) -> KeyProblem:
    loaded = PrivateKeys().load(str(path))
    assert isinstance(loaded, KeyProblem)
    assert loaded.path == str(path)
    return loaded


def key_of(keys: PrivateKeys, path: Path) -> asyncssh.SSHKey:
    loaded = keys.load(str(path))
    assert isinstance(loaded, asyncssh.SSHKey)
    return loaded


# Private keys


def test_a_key_is_read(path: Path) -> None:
    key = new_key()
    write_key(path, key)

    assert key_of(PrivateKeys(), path).public_data == key.public_data


@pytest.mark.parametrize("format_", ["pkcs1-pem", "pkcs8-pem"])
def test_a_pem_key_is_read(path: Path, format_: str) -> None:
    key = new_key("ecdsa-sha2-nistp256")
    path.write_bytes(key.export_private_key(format_))
    path.chmod(0o600)

    assert key_of(PrivateKeys(), path).public_data == key.public_data


def test_an_unchanged_key_file_is_read_once(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(file_cache, "TIMESTAMP_STEP_NS", 0)  # the file is new
    write_key(path, new_key())
    keys = PrivateKeys()

    assert key_of(keys, path) is key_of(keys, path)


def test_a_changed_key_file_is_read_again(path: Path) -> None:
    keys = PrivateKeys()
    write_key(path, new_key())
    before = key_of(keys, path)
    replacement = new_key()
    write_key(path, replacement)

    assert key_of(keys, path) is not before
    assert key_of(keys, path).public_data == replacement.public_data


def test_a_key_is_used_once_its_permissions_are_fixed(path: Path) -> None:
    keys = PrivateKeys()
    write_key(path, new_key())
    path.chmod(0o644)
    assert isinstance(keys.load(str(path)), KeyProblem)

    path.chmod(0o600)

    assert isinstance(keys.load(str(path)), asyncssh.SSHKey)


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o620, 0o644])
def test_a_key_that_others_can_read_is_refused_with_the_remedy(path: Path, mode: int) -> None:
    write_key(path, new_key())
    path.chmod(mode)

    problem = problem_of(path)

    assert problem.kind is Unusable.OPEN_TO_OTHERS
    assert str(problem) == f"{path}: its permissions {mode:04o} let others read it"
    assert problem.remedy == f"chmod 600 {path}"


def test_permissions_of_another_users_key_are_not_checked(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_key(path, new_key())
    path.chmod(0o640)
    monkeypatch.setattr(os, "getuid", lambda: path.stat().st_uid + 1)

    assert isinstance(PrivateKeys().load(str(path)), asyncssh.SSHKey)


def test_a_missing_file_is_reported_as_missing(path: Path) -> None:
    assert problem_of(path).kind is Unusable.MISSING
    assert problem_of(path / "below").kind is Unusable.MISSING


def test_a_path_below_a_file_is_reported_as_missing(path: Path) -> None:
    path.write_text("a file")

    assert problem_of(path / "below").kind is Unusable.MISSING


def test_a_directory_is_not_a_key(path: Path) -> None:
    path.mkdir(mode=0o700)

    assert problem_of(path).kind is Unusable.BROKEN


def test_a_file_without_a_key_is_broken(path: Path) -> None:
    path.write_text("not a key")
    path.chmod(0o600)

    assert problem_of(path).kind is Unusable.BROKEN


def test_an_encrypted_openssh_key_has_a_remedy(path: Path) -> None:
    write_key(path, new_key(), passphrase="secret")

    problem = problem_of(path)

    assert problem.kind is Unusable.ENCRYPTED
    assert problem.remedy == f"ssh-add {path}"


@pytest.mark.parametrize("format_", ["pkcs8-pem", "pkcs1-pem"])
def test_an_encrypted_pem_key_is_not_reported_as_broken(path: Path, format_: str) -> None:
    key = new_key("ssh-rsa")
    path.write_bytes(key.export_private_key(format_, passphrase="secret"))
    path.chmod(0o600)

    assert problem_of(path).kind is Unusable.ENCRYPTED


def test_a_truncated_key_is_broken(path: Path) -> None:
    write_key(path, new_key())
    path.write_bytes(path.read_bytes()[:100])

    assert problem_of(path).kind is Unusable.BROKEN


def test_a_public_key_file_has_a_remedy(path: Path) -> None:
    key = new_key()
    write_key(path, key)
    public = path.with_name(f"{path.name}.pub")
    public.chmod(0o644)

    problem = problem_of(public)

    assert problem.kind is Unusable.PUBLIC
    assert problem.remedy == f"name the private key in identity_files: {path}"
    path.unlink()
    assert f"ssh-add {path}" in PrivateKeys().load(str(public)).remedy  # type: ignore[union-attr]


async def test_a_file_on_a_disk_that_hangs_delays_no_other_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    good, hanging = make_key(tmp_path / "good"), tmp_path / "hanging"
    hanging.touch(0o600)
    release = threading.Event()

    def hang(path: str, limit: int) -> bytes:
        if path.startswith(str(hanging)):
            release.wait()
        return read_regular_file(path, limit)

    monkeypatch.setattr("tunnelkeeper.ssh.auth.public_keys.read_regular_file", hang)
    monkeypatch.setattr(thread_executor, "READ_TIMEOUT", 0.2)
    keys = PrivateKeys()
    try:
        problem = (await keys.read(str(hanging))).private
        other = await keys.read(str(good))
        certificate = await keys.read_certificate(str(hanging))
    finally:
        release.set()

    assert isinstance(problem, KeyProblem)
    assert "not read within 0.2 s" in problem.message
    assert isinstance(other.private, asyncssh.SSHKey)
    assert other.public is not None
    assert certificate is None
    await until(lambda: not keys._executor)
