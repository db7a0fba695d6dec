"""The wire format of certificates, as ssh-keygen writes them, and their rules."""

from __future__ import annotations

import subprocess
from base64 import b64decode
from dataclasses import replace
from pathlib import Path

import asyncssh
import pytest
from asyncssh.packet import String
from asyncssh.public_key import decode_ssh_public_key
from hypothesis import given
from hypothesis import strategies as st

from tests.e2e.keys import make_key
from tests.requirements import require
from tests.ssh.server import new_key
from tunnelkeeper.core.algorithms import SIGNATURES
from tunnelkeeper.ssh.auth.openssh_certificate import (
    HOST_CERTIFICATE,
    USER_CERTIFICATE,
    Certificate,
    CertificateError,
    format_time,
    host_certificate_problem,
    is_certificate,
    next_validity,
    parse_certificate,
    presented_key,
)

NOW = 1_700_000_000
FOREVER = 0xFFFFFFFFFFFFFFFF  # of ssh-keygen -V always:forever
ON_CURVE = asyncssh.generate_private_key("ecdsa-sha2-nistp256").public_data[-65:]


def blob_of(path: str) -> bytes:
    return b64decode(Path(path).read_text().split()[1])


def sign(key: Path, *options: str, kind: str = "ed25519") -> bytes:
    """Return a certificate for a key, signed by a new CA key of a type."""
    authority = make_key(key.with_name("authority"), kind)
    command = [require("ssh-keygen"), "-q", "-s", str(authority), *options, f"{key}.pub"]
    subprocess.run(command, check=True)
    return blob_of(f"{key}-cert.pub")


def good(**changes: object) -> Certificate:
    certificate = Certificate(
        key=b"",
        kind=HOST_CERTIFICATE,
        key_id=b"",
        principals=("relay", "other"),
        valid_after=0,
        valid_before=FOREVER,
        critical_options=b"",
        ca_key=b"",
        ca_algorithm="ssh-ed25519",
        is_verified=True,
        serial=0,
    )
    return replace(certificate, **changes)  # type: ignore[arg-type]


@pytest.mark.parametrize("kind", ["ed25519", "rsa", "ecdsa"])
@pytest.mark.parametrize("ca_kind", ["ed25519", "rsa", "ecdsa"])
def test_certificates_of_every_key_type_are_parsed(tmp_path: Path, kind: str, ca_kind: str) -> None:
    key = make_key(tmp_path / "key", kind)
    options = ["-I", "an id", "-n", "me,you", "-z", "7", "-V", "20000101Z:20010101Z"]
    certificate = parse_certificate(sign(key, *options, kind=ca_kind))

    assert certificate.key == blob_of(f"{key}.pub")
    assert certificate.ca_key == blob_of(f"{tmp_path}/authority.pub")
    assert certificate.kind == USER_CERTIFICATE
    assert (certificate.key_id, certificate.serial) == (b"an id", 7)
    assert certificate.principals == ("me", "you")
    assert format_time(certificate.valid_after) == "2000-01-01 00:00:00 UTC"
    assert format_time(certificate.valid_before) == "2001-01-01 00:00:00 UTC"
    assert certificate.is_verified
    assert certificate.ca_algorithm in SIGNATURES


def test_text_in_another_encoding_and_critical_options_are_parsed(tmp_path: Path) -> None:
    key = make_key(tmp_path / "key")
    latin = "f\udcfcr alle"  # one byte of Latin-1
    blob = sign(key, "-h", "-I", latin, "-n", latin, "-O", "critical:unknown=1")
    certificate = parse_certificate(blob)

    assert certificate.key_id == b"f\xfcr alle"
    assert certificate.principals == ("f\\xfcr alle",)
    assert b"unknown" in certificate.critical_options
    assert presented_key(blob).ca_blob == certificate.ca_key


@pytest.mark.parametrize(
    ("kind", "fields"),
    [
        (b"sk-ssh-ed25519@openssh.com", [bytes(32), b"ssh:"]),
        (b"sk-ecdsa-sha2-nistp256@openssh.com", [b"nistp256", ON_CURVE, b"ssh:"]),
    ],
)
def test_certificates_of_security_keys_are_parsed(kind: bytes, fields: list[bytes]) -> None:
    key = b"".join(map(String, [kind, *fields]))
    blob = (
        new_key()
        .generate_user_certificate(
            decode_ssh_public_key(key), "me", valid_after=NOW, valid_before=NOW + 9
        )
        .public_data
    )

    assert parse_certificate(blob).key == key
    assert next_validity([blob], NOW - 1) == (NOW, NOW + 9)


@pytest.mark.parametrize("cut", [1, 30, 100])
def test_a_damaged_certificate_is_an_error_and_counts_as_a_key(tmp_path: Path, cut: int) -> None:
    blob = sign(make_key(tmp_path / "key"), "-I", "id", "-n", "me")

    changed = blob[:-cut] + bytes(byte ^ 0xFF for byte in blob[-cut:])
    for damaged in (blob[:-cut], changed, blob + b"\0"):
        with pytest.raises(CertificateError):
            parse_certificate(damaged)
        assert presented_key(damaged).blob == damaged
        assert presented_key(damaged).ca_blob is None


@given(st.binary(max_size=200))
def test_arbitrary_bytes_are_no_certificate(data: bytes) -> None:
    with pytest.raises(CertificateError):
        parse_certificate(data)
    presented_key(data)


def test_a_plain_key_is_no_certificate() -> None:
    key = new_key().public_data

    assert not is_certificate(key)
    assert presented_key(key).blob == key


@pytest.mark.parametrize(
    ("certificate", "problem"),
    [
        (good(), ""),
        (good(principals=()), ""),
        (good(valid_after=NOW), ""),
        (good(valid_before=NOW + 1), ""),
        (good(valid_after=NOW + 1), "not valid before 2023-11-14 22:13:21 UTC"),
        (good(valid_before=NOW), "expired at 2023-11-14 22:13:20 UTC"),
        (good(valid_after=FOREVER), "not valid before forever"),
        (good(principals=("a", "b")), "it is for a, b, not for relay"),
        (good(principals=tuple("abcdef")), "it is for a, b, c, d, ..., not for relay"),
        (good(principals=("*",)), "it is for *, not for relay"),
        (good(principals=("RELAY",)), "not for relay"),
        (good(kind=USER_CERTIFICATE), "not a host certificate"),
        (good(critical_options=b"x"), "critical option"),
        (good(ca_algorithm="ssh-rsa"), "its CA signed it with ssh-rsa"),
        (good(is_verified=False), "its CA key is not supported"),
    ],
)
def test_a_certificate_has_a_problem_or_none(certificate: Certificate, problem: str) -> None:
    found = host_certificate_problem(certificate, "relay", NOW, SIGNATURES)

    assert problem in found
    assert bool(found) == bool(problem)
