from __future__ import annotations

import errno
from typing import TYPE_CHECKING

import pytest
from asyncssh.packet import String

from tests.ssh.server import new_key, write_key
from tunnelkeeper.ssh.auth import public_keys
from tunnelkeeper.ssh.auth.key_blobs import plain_type

if TYPE_CHECKING:
    from pathlib import Path

    import asyncssh

KINDS = ["ssh-ed25519", "ecdsa-sha2-nistp256", "ecdsa-sha2-nistp384", "ssh-rsa"]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "id"


def loaded(path: Path) -> public_keys.PublicKey:
    public = public_keys.load(str(path))
    assert public is not None
    return public


def write_certificate(path: Path, certificate: asyncssh.SSHCertificate) -> None:
    path.write_bytes(certificate.export_certificate())


@pytest.mark.parametrize("kind", KINDS)
def test_a_certificate_is_read_with_the_key_that_it_certifies(path: Path, kind: str) -> None:
    key = new_key(kind)
    certificate = new_key().generate_user_certificate(key, "me")
    write_certificate(path, certificate)

    public = public_keys.load_certificate(str(path))

    assert public is not None
    assert public.is_certificate
    assert public.key_type == f"{kind}-cert-v01@openssh.com"
    assert public.blob == certificate.public_data
    assert public.key == key.public_data


def test_a_certificate_for_a_host_is_not_read(path: Path) -> None:
    write_certificate(path, new_key().generate_host_certificate(new_key(), "host"))

    assert public_keys.load_certificate(str(path)) is None


@pytest.mark.parametrize("contents", [None, "not a certificate", "ssh-ed25519 %%%", "ssh-rsa AAAA"])
def test_a_file_without_a_certificate_yields_none(path: Path, contents: str | None) -> None:
    if contents is not None:
        path.write_text(contents)

    assert public_keys.load_certificate(str(path)) is None


def test_a_plain_key_is_no_certificate(path: Path) -> None:
    path.write_bytes(new_key().export_public_key())

    assert public_keys.load_certificate(str(path)) is None


def test_the_public_key_next_to_a_private_key_is_read(path: Path) -> None:
    key = new_key()
    write_key(path, key, passphrase="secret")

    assert loaded(path).blob == key.public_data


def test_a_public_key_file_as_identity_is_read(path: Path) -> None:
    """As with ssh, IdentityFile may name the public key of an agent key."""
    key = new_key()
    path.write_bytes(b"\n# the key of the agent\n" + key.export_public_key())

    assert loaded(path).blob == key.public_data


def test_the_public_key_inside_an_encrypted_private_key_is_read(path: Path) -> None:
    key = new_key()
    write_key(path, key, passphrase="secret")
    path.with_name(f"{path.name}.pub").unlink()

    assert loaded(path).blob == key.public_data


def test_the_public_key_file_wins_over_the_private_key(path: Path) -> None:
    other = new_key()
    write_key(path, new_key())
    path.with_name(f"{path.name}.pub").write_bytes(other.export_public_key())

    assert loaded(path).blob == other.public_data


def test_a_pem_key_without_a_public_key_file_yields_none(path: Path) -> None:
    path.write_bytes(new_key("ssh-rsa").export_private_key("pkcs8-pem"))

    assert public_keys.load(str(path)) is None


def test_a_path_without_a_public_key_yields_none(path: Path) -> None:
    assert public_keys.load(str(path)) is None
    assert public_keys.load("nul\0character") is None

    path.write_text("not a key")

    assert public_keys.load(str(path)) is None


def test_a_key_whose_type_is_mislabelled_yields_none(path: Path) -> None:
    path.write_bytes(new_key().export_public_key().replace(b"ssh-ed25519 ", b"ssh-rsa "))

    assert public_keys.load(str(path)) is None


@pytest.mark.parametrize(
    "blob", [b"", b"\0", String("ssh-unknown"), String("rsa-cert-v01@openssh.com"), b"\0\0\0\x09x"]
)
def test_an_unknown_or_damaged_blob_yields_none(blob: bytes) -> None:
    assert public_keys.decode(blob) is None


@pytest.mark.parametrize(
    ("key_type", "plain"),
    [
        ("ssh-rsa-cert-v01@openssh.com", "ssh-rsa"),
        ("sk-ssh-ed25519-cert-v01@openssh.com", "sk-ssh-ed25519@openssh.com"),
        ("sk-ssh-ed25519@openssh.com", "sk-ssh-ed25519@openssh.com"),
        ("ssh-ed25519", "ssh-ed25519"),
    ],
)
def test_the_plain_type_of_a_certificate(key_type: str, plain: str) -> None:
    assert plain_type(key_type) == plain


def test_a_machine_out_of_descriptors_is_not_a_missing_key(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def exhausted(_path: str, _limit: int) -> bytes:
        raise OSError(errno.EMFILE, "too many open files")

    monkeypatch.setattr("tunnelkeeper.ssh.auth.public_keys.read_regular_file", exhausted)

    with pytest.raises(OSError, match="too many"):
        public_keys.load(str(path))
