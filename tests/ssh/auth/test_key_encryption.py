"""Encrypted private keys as ssh-keygen and openssl write them."""

from __future__ import annotations

import base64
import subprocess
from typing import TYPE_CHECKING

import pytest
from asyncssh.packet import String, UInt32

from tests.e2e.keys import public
from tests.requirements import require
from tests.ssh.server import new_key
from tunnelkeeper.core.secret import Secret
from tunnelkeeper.ssh.auth.key_encryption import (
    BrokenKeyError,
    Encryption,
    WrongPassphraseError,
    decrypt,
    encryption_of,
)

if TYPE_CHECKING:
    from pathlib import Path

    import asyncssh

SESAME = "sesame \N{GREEK SMALL LETTER ALPHA}"


def encrypted(path: Path, kind: str, *options: str) -> bytes:
    """Make an encrypted key with ssh-keygen. Return its file."""
    command = [require("ssh-keygen"), "-q", "-t", kind, "-a", "1", "-N", SESAME, "-f", str(path)]
    subprocess.run([*command, *options], check=True, capture_output=True)
    return path.read_bytes()


def ciphers() -> list[str]:
    """Return what `ssh-keygen -Z` offers."""
    return subprocess.run(
        [require("ssh"), "-Q", "cipher"], check=True, capture_output=True, text=True
    ).stdout.split()


def check(data: bytes, path: Path) -> None:
    """Check that exactly the right passphrase decrypts a key to the half that is public."""
    key = decrypt(data, Secret.from_text(SESAME))
    assert " ".join(key.export_public_key().decode().split()[:2]) == public(path)
    for wrong in ("", "wrong", SESAME + "x"):
        with pytest.raises(WrongPassphraseError):
            decrypt(data, Secret.from_text(wrong))


def test_every_cipher_of_ssh_keygen_is_decrypted(tmp_path: Path) -> None:
    for cipher in ciphers():
        path = tmp_path / cipher
        data = encrypted(path, "ed25519", "-Z", cipher)
        assert encryption_of(data) == Encryption("OpenSSH", cipher)
        check(data, path)


@pytest.mark.parametrize(
    ("kind", "options", "container"),
    [
        ("rsa", (), "OpenSSH"),
        ("ecdsa", (), "OpenSSH"),
        ("ecdsa", ("-b", "521"), "OpenSSH"),
        ("rsa", ("-m", "PEM"), "PEM"),
        ("ecdsa", ("-m", "PEM"), "PEM"),
        ("rsa", ("-m", "PKCS8"), "PKCS#8"),
        ("ecdsa", ("-m", "PKCS8"), "PKCS#8"),
    ],
)
def test_every_format_and_type_of_ssh_keygen_is_decrypted(
    tmp_path: Path, kind: str, options: tuple[str, ...], container: str
) -> None:
    data = encrypted(tmp_path / "key", kind, *options)
    encryption = encryption_of(data)
    assert encryption is not None
    assert (encryption.container, encryption.problem) == (container, "")
    check(data, tmp_path / "key")


@pytest.mark.parametrize(
    "kind", ["sk-ssh-ed25519@openssh.com", "sk-ecdsa-sha2-nistp256@openssh.com"]
)
def test_the_file_of_a_security_key_is_decrypted(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "key"
    path.touch(0o600)
    path.write_bytes(security_key_file(kind))
    command = [
        require("ssh-keygen"),
        "-q",
        "-p",
        "-a",
        "1",
        "-P",
        "",
        "-N",
        SESAME,
        "-f",
        str(path),
    ]
    subprocess.run(command, check=True, capture_output=True)

    key = decrypt(path.read_bytes(), Secret.from_text(SESAME))

    assert key.algorithm == kind.encode()


def security_key_file(kind: str) -> bytes:
    """Return an OpenSSH private key file of a security key, without a passphrase."""
    if "ed25519" in kind:
        plain = new_key("ssh-ed25519").public_data[4 + len("ssh-ed25519") :]
    else:
        plain = new_key("ecdsa-sha2-nistp256").public_data[4 + len("ecdsa-sha2-nistp256") :]
    body = String(kind) + plain + String("ssh:")
    private = body + b"\1" + String(b"handle") + String(b"") + String("comment")
    checked = UInt32(7) + UInt32(7) + private
    checked += bytes(range(1, 1 + -len(checked) % 8))
    data = b"openssh-key-v1\0" + String("none") + String("none") + String("") + UInt32(1)
    text = base64.encodebytes(data + String(body) + String(checked)).decode()
    label = "OPENSSH PRIVATE KEY"
    return f"-----BEGIN {label}-----\n{text}-----END {label}-----\n".encode()


@pytest.mark.parametrize(
    "options", [("-scrypt",), ("-v2", "aes-256-cbc"), ("-v2", "des3"), ("-v1", "PBE-SHA1-3DES")]
)
def test_keys_of_openssl_are_decrypted(tmp_path: Path, options: tuple[str, ...]) -> None:
    key = new_key("ecdsa-sha2-nistp256")
    (tmp_path / "key.pub").write_bytes(key.export_public_key())
    check(openssl(key, options), tmp_path / "key")


def openssl(key: asyncssh.SSHKey, options: tuple[str, ...]) -> bytes:
    """Return a key that openssl encrypted."""
    command = [require("openssl"), "pkcs8", "-topk8", "-passout", f"pass:{SESAME}", *options]
    plain = key.export_private_key("pkcs8-pem")
    return subprocess.run(command, input=plain, check=True, capture_output=True).stdout


def test_a_cipher_that_is_not_supported_has_its_own_message() -> None:
    camellia = openssl(new_key(), ("-v2", "camellia-128-cbc"))
    idea = (
        b"-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: IDEA-CBC,00\n\nAAAA\n"
        b"-----END RSA PRIVATE KEY-----\n"
    )
    for data, name in ((camellia, "1.2.392.200011.61.1.1.1.2"), (idea, "IDEA-CBC")):
        encryption = encryption_of(data)
        assert encryption is not None
        assert encryption.problem == f"its cipher {name} is not supported"
        with pytest.raises(BrokenKeyError, match="is not supported"):
            decrypt(data, Secret.from_text(SESAME))


def test_an_openssh_key_with_an_unknown_cipher_or_key_derivation_is_not_supported(
    tmp_path: Path,
) -> None:
    data = encrypted(tmp_path / "key", "ed25519")
    body = base64.b64decode(b"".join(data.splitlines()[1:-1]))
    for old, new in ((b"aes256-ctr", b"foo256-bar"), (b"bcrypt", b"decade")):
        text = base64.encodebytes(body.replace(old, new))
        changed = b"-----BEGIN OPENSSH PRIVATE KEY-----\n" + text
        encryption = encryption_of(changed + b"-----END OPENSSH PRIVATE KEY-----\n")
        assert encryption is not None
        assert encryption.problem.endswith(f"{new.decode()} is not supported")


def test_a_file_that_is_cut_off_is_broken_and_not_a_wrong_passphrase(tmp_path: Path) -> None:
    for number, options in enumerate(((), ("-m", "PKCS8"))):
        path = tmp_path / str(number)
        lines = encrypted(path, "ecdsa", *options).splitlines()
        body = base64.b64decode(b"".join(lines[1:-1]))
        for size in range(1, len(body), 7):
            cut = b"\n".join((lines[0], base64.b64encode(body[:size]), lines[-1]))
            with pytest.raises(BrokenKeyError):
                decrypt(cut, Secret.from_text(SESAME))


def test_a_key_without_a_passphrase_is_not_encrypted(tmp_path: Path) -> None:
    assert encryption_of(new_key().export_private_key()) is None
    assert encryption_of(new_key("ssh-rsa").export_private_key("pkcs1-pem")) is None
    assert encryption_of(b"ssh-ed25519 AAAA") is None
