"""Host keys: generated once, atomically and private; refused if others can read them."""

from __future__ import annotations

import errno
import os
import tempfile
from typing import TYPE_CHECKING

import asyncssh
import pytest

from tests.e2e.keys import make_key as make_with_ssh_keygen
from tests.e2e.keys import public
from tunnelkeeper.relay.host_key import HostKeyError, load, make_key

if TYPE_CHECKING:
    from pathlib import Path


def test_a_missing_key_is_generated_once(tmp_path: Path) -> None:
    path = tmp_path / "new" / "host_key"
    first, second = load(path), load(path)

    assert first.algorithm == b"ssh-ed25519"
    assert first.public_data == second.public_data
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.parent.stat().st_mode & 0o777 == 0o700
    assert [entry.name for entry in path.parent.iterdir()] == ["host_key"]


def test_generating_a_key_returns_its_public_key(tmp_path: Path) -> None:
    path = tmp_path / "host_key"
    public_key = make_key(path)

    assert public_key == " ".join(load(path).export_public_key().decode().split()[:2])


def test_an_existing_file_is_never_replaced(tmp_path: Path) -> None:
    path = tmp_path / "host_key"
    path.write_text("mine")

    with pytest.raises(FileExistsError):
        make_key(path)
    assert path.read_text() == "mine"
    assert [entry.name for entry in tmp_path.iterdir()] == ["host_key"]


@pytest.mark.parametrize("kind", ["ed25519", "ecdsa", "rsa"])
def test_keys_of_ssh_keygen_are_read(tmp_path: Path, kind: str) -> None:
    path = make_with_ssh_keygen(tmp_path / "key", kind)

    assert load(path).export_public_key().decode().split()[:2] == public(path).split()


def test_a_key_that_others_can_read_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "host_key"
    make_key(path)
    path.chmod(0o640)

    with pytest.raises(HostKeyError, match=r"others can read it \(mode 0640\)"):
        load(path)


@pytest.mark.parametrize(
    ("content", "message"), [("nonsense", "not a private key"), ("", "not a private key")]
)
def test_a_file_that_is_not_a_key_is_refused(tmp_path: Path, content: str, message: str) -> None:
    path = tmp_path / "host_key"
    path.write_text(content)
    path.chmod(0o600)

    with pytest.raises(HostKeyError, match=message):
        load(path)


def test_a_key_with_a_passphrase_is_refused(tmp_path: Path) -> None:
    path = make_with_ssh_keygen(tmp_path / "key", passphrase="secret")

    with pytest.raises(HostKeyError, match="passphrase"):
        load(path)


def test_a_directory_is_refused(tmp_path: Path) -> None:
    tmp_path.chmod(0o700)
    with pytest.raises(HostKeyError, match="Is a directory"):
        load(tmp_path)


def test_a_public_key_is_refused_as_a_host_key(tmp_path: Path) -> None:
    path = tmp_path / "key.pub"
    path.write_bytes(asyncssh.generate_private_key("ssh-ed25519").export_public_key())
    path.chmod(0o600)

    with pytest.raises(HostKeyError, match="not a private key"):
        load(path)


def test_a_key_that_cannot_be_generated_is_explained(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(**_options: object) -> tuple[int, str]:
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    monkeypatch.setattr(tempfile, "mkstemp", refuse)

    with pytest.raises(HostKeyError, match="cannot generate this host key: Read-only file system"):
        load(tmp_path / "host_key")
