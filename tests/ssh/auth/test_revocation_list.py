"""Lists of revoked keys: what the parser finds is what `ssh-keygen -Q` finds."""

from __future__ import annotations

import re
import subprocess
from base64 import b64decode
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.e2e.keys import certify_host, fingerprint, make_key, public
from tests.requirements import require
from tunnelkeeper.ssh.auth.key_blobs import rsa_bits
from tunnelkeeper.ssh.auth.openssh_certificate import PresentedKey, presented_key
from tunnelkeeper.ssh.auth.revocation_list import RevocationListError, parse


@pytest.fixture
def keys(tmp_path: Path) -> Path:
    """Return a folder with the key `plain`, the certified key `host` and their CA."""
    make_key(tmp_path / "plain")
    make_key(tmp_path / "ca")
    certify_host(tmp_path / "ca", make_key(tmp_path / "host"), "name", serial=77)
    return tmp_path


def revoked(folder: Path, data: bytes) -> set[str]:
    """Return the names of the keys that a list revokes."""
    names = ("plain", "host", "host-cert", "ca")
    blobs = {name: b64decode((folder / f"{name}.pub").read_text().split()[1]) for name in names}
    return {name for name in names if parse(data).revokes(presented_key(blobs[name]))}


def revoked_by_ssh(folder: Path, path: Path) -> set[str]:
    names = ("plain", "host", "host-cert", "ca")
    command = [require("ssh-keygen"), "-Q", "-f", str(path)]
    return {
        name
        for name in names
        if subprocess.run(
            [*command, f"{folder}/{name}.pub"], capture_output=True, check=False
        ).returncode
    }


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        ("serial: 77", {"host-cert"}),
        ("serial: 70-90", {"host-cert"}),
        ("serial: 1-76\nserial: 78-90", set()),
        ("\n".join(f"serial: {n}" for n in range(2, 300, 3)), {"host-cert"}),
        ("\n".join(f"serial: {n}" for n in range(1, 300, 3)), set()),
        ("id: host", {"host-cert"}),
        ("id: other", set()),
        ("key: PLAIN", {"plain"}),
        ("key: HOST", {"host", "host-cert"}),
        ("key: CA", {"ca", "host-cert"}),
        ("sha1: HOST", {"host", "host-cert"}),
        ("sha256: HOST", {"host", "host-cert"}),
        ("hash: FINGERPRINT", {"plain"}),
    ],
)
def test_a_key_revocation_list_revokes_what_ssh_keygen_says(
    keys: Path, lines: str, expected: set[str]
) -> None:
    values = {name.upper(): public(keys / name) for name in ("plain", "host", "ca")}
    values["FINGERPRINT"] = fingerprint(keys / "plain")
    # In one pass: the base64 of a key can have the letters of a name.
    spec = re.sub("|".join(values), lambda found: values[found[0]], lines)
    (keys / "spec").write_text(spec + "\n")
    path = keys / "krl"
    authority = ["-s", str(keys / "ca.pub")]
    command = [require("ssh-keygen"), "-q", "-k", "-f", str(path), *authority, str(keys / "spec")]
    subprocess.run(command, check=True)

    assert revoked(keys, path.read_bytes()) == expected
    assert revoked_by_ssh(keys, path) == expected
    with pytest.raises(RevocationListError):
        parse(path.read_bytes()[:-1])


def test_key_ids_can_be_revoked_for_every_ca(keys: Path) -> None:
    (keys / "spec").write_text("id: host\n")
    path = keys / "krl"
    command = [require("ssh-keygen"), "-q", "-k", "-f", str(path), "-s", "none", f"{keys}/spec"]
    subprocess.run(command, check=True)

    assert revoked(keys, path.read_bytes()) == {"host-cert"} == revoked_by_ssh(keys, path)


def test_a_text_has_one_key_or_certificate_per_line(keys: Path) -> None:
    text = f"# stolen\n\n \t{public(keys / 'plain')} a comment\r\n{(keys / 'ca.pub').read_text()}"

    assert revoked(keys, text.encode()) == {"plain", "ca", "host-cert"}
    assert revoked(keys, (keys / "host-cert.pub").read_bytes()) == {"host", "host-cert"}
    assert revoked(keys, b"") == set()


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"# fine\nssh-ed25519", "line 2: expected a public key"),
        (b"ssh-ed25519 %%%", "line 1: expected a public key"),
        (b"ssh-rsa AAAAC3NzaC1lZDI1NTE5", "line 1: expected a public key"),
        (b"host ssh-ed25519 AAAA", "line 1: expected a public key"),
        (b"SSHKRL\n\0\0\0\0\2", "version 2"),
        (b"SSHKRL\n\0\0\0", "cut short"),
        (b"SSHKRL\n\0\0\0\0\1" + bytes(32) + b"\x09\0\0\0\0", "section 9"),
        (b"SSHKRL\n\0\0\0\0\1" + bytes(32) + b"\xff\0\0\0\x0a\0\0\0\1x\1\0\0\0\0", "extension x"),
    ],
)
def test_what_cannot_be_parsed_is_an_error(data: bytes, reason: str) -> None:
    with pytest.raises(RevocationListError, match=reason):
        parse(data)


@pytest.mark.parametrize("kind", ["rsa", "ecdsa", "ed25519"])
def test_the_size_of_rsa_keys_is_known_also_in_a_certificate(tmp_path: Path, kind: str) -> None:
    key = make_key(tmp_path / "key", kind, bits=1024 if kind == "rsa" else 0)
    certificate = certify_host(make_key(tmp_path / "ca"), key, "name")
    blobs = [b64decode(p.read_text().split()[1]) for p in (Path(f"{key}.pub"), certificate)]

    assert [rsa_bits(blob) for blob in blobs] == [1024 if kind == "rsa" else None] * 2


# -- any list ------------------------------------------------------------------------------------

SERIALS = st.integers(1, 60)


@given(
    st.lists(SERIALS, max_size=5),
    st.lists(st.tuples(SERIALS, SERIALS), max_size=5),
    st.lists(st.tuples(SERIALS, st.integers(0, 2**20)), max_size=5),
    SERIALS,
)
def test_a_serial_is_found_as_a_scan_of_the_list_finds_it(
    serials: list[int], ranges: list[tuple[int, int]], bitmaps: list[tuple[int, int]], serial: int
) -> None:
    sections = [certificate_section(0x20, b"".join(map(packed_number, serials)))]
    sections += [
        certificate_section(0x21, packed_number(low) + packed_number(high)) for low, high in ranges
    ]
    sections += [
        certificate_section(0x22, packed_number(at) + string(bits.to_bytes(3)))
        for at, bits in bitmaps
    ]
    body = string(b"the ca") + string(b"") + b"".join(sections)

    found = parse(KRL_START + b"\1" + string(body))

    expected = (
        serial in serials
        or any(low <= serial <= high for low, high in ranges)
        or any(serial >= at and bits >> (serial - at) & 1 for at, bits in bitmaps)
    )
    assert found.revokes(PresentedKey(b"a key", b"the ca", serial)) == expected
    assert not found.revokes(PresentedKey(b"a key", b"another ca", serial))


@given(
    st.one_of(
        st.binary(max_size=200),
        st.binary(max_size=200).map(lambda data: KRL_START + data),
        st.lists(
            st.tuples(st.sampled_from([1, 2, 3, 4, 5, 255]), st.binary(max_size=40)), max_size=4
        ).map(lambda parts: KRL_START + b"".join(bytes([k]) + string(data) for k, data in parts)),
    )
)
def test_any_bytes_are_a_list_or_an_error(data: bytes) -> None:
    with suppress(RevocationListError):
        parse(data).revokes(PresentedKey(b"a key", b"the ca", 7, b"id"))


def test_a_million_serials_are_not_objects() -> None:
    """The list has the size of its file in memory."""
    numbers = b"".join(map(packed_number, range(1, 100_001)))
    body = string(b"the ca") + string(b"") + certificate_section(0x20, numbers)

    found = parse(KRL_START + b"\1" + string(body))

    [revoked] = found.certificates.values()
    assert len(revoked.serials) * revoked.serials.itemsize == len(numbers)
    assert found.revokes(PresentedKey(b"a key", b"the ca", 100_000))
    assert not found.revokes(PresentedKey(b"a key", b"the ca", 100_001))
    with pytest.raises(RevocationListError, match="cut short"):
        parse(
            KRL_START + b"\1" + string(string(b"") + string(b"") + certificate_section(0x20, b"x"))
        )


def string(data: bytes) -> bytes:
    return len(data).to_bytes(4) + data


def packed_number(number: int) -> bytes:
    return number.to_bytes(8)


def certificate_section(kind: int, data: bytes) -> bytes:
    return bytes([kind]) + string(data)


KRL_START: bytes = b"SSHKRL\n\0" + (1).to_bytes(4) + bytes(24) + string(b"") + string(b"")
