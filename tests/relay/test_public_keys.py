"""Public keys: what is one, by type, form and size."""

import base64
import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.relay.keys import blob, encoded, rsa_blob, ssh_string
from tunnelkeeper.relay.public_keys import KEY_TYPES, PublicKeyError, parse_blob


@pytest.mark.parametrize(
    "options", [["ed25519"], ["ecdsa", "-b", "256"], ["ecdsa", "-b", "521"], ["rsa", "-b", "1024"]]
)
def test_a_key_of_ssh_keygen_is_read(options: list[str], tmp_path: Path) -> None:
    private = tmp_path / "key"
    subprocess.run(
        ["ssh-keygen", "-q", "-N", "", "-f", str(private), "-t", *options], check=True, timeout=60
    )
    algorithm, key, _ = (tmp_path / "key.pub").read_text().split(" ", 2)

    assert parse_blob(algorithm, key) == base64.b64decode(key)


@pytest.mark.parametrize(
    ("algorithm", "data", "why"),
    [
        ("ssh-ed25519", b"", "cut short"),
        ("ssh-ed25519", b"\0\0\0", "cut short"),
        ("ssh-ed25519", blob()[:-1], "cut short"),
        ("ssh-ed25519", blob() + b"\0", "cut short"),
        ("ssh-ed25519", blob() + ssh_string(b""), "not made as a key"),
        ("ssh-ed25519", ssh_string(b"ssh-ed25519"), "not made as a key"),
        ("ssh-rsa", blob(), "says 'ssh-rsa', the key itself 'ssh-ed25519'"),
        ("ssh-ed25519", ssh_string(b"\x1b[2J"), r"the key itself '\\x1b\[2J'"),
        ("ssh-rsa", rsa_blob(768), "1024 bits or more, got 768"),
    ],
)
def test_a_key_that_is_none_is_refused(algorithm: str, data: bytes, why: str) -> None:
    with pytest.raises(PublicKeyError, match=why):
        parse_blob(algorithm, encoded(data))


@pytest.mark.parametrize("text", ["", "AAAA!", "AAAA====", "ä", "\x1b"])
def test_what_is_no_base64_is_refused(text: str) -> None:
    with pytest.raises(PublicKeyError) as caught:
        parse_blob("ssh-ed25519", text)

    assert str(caught.value).isprintable()


@given(st.sampled_from(sorted(KEY_TYPES)), st.text() | st.binary().map(encoded))
def test_any_text_is_a_key_or_an_error(algorithm: str, text: str) -> None:
    try:
        key = parse_blob(algorithm, text)
    except PublicKeyError:
        return
    assert encoded(key) == text
