"""The random art of keys, compared with that of the real ssh-keygen."""

from __future__ import annotations

import hashlib
import subprocess
from base64 import b64encode
from typing import TYPE_CHECKING

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.requirements import require
from tunnelkeeper.core.random_art import key_title, random_art

if TYPE_CHECKING:
    import pytest

ED25519_SIZE = 32
MAX_RSA_BITS = 4096


def wire(*fields: bytes) -> bytes:
    return b"".join(len(each).to_bytes(4) + each for each in fields)


def ed25519(point: bytes) -> tuple[bytes, str]:
    return wire(b"ssh-ed25519", point), key_title("ED25519", 256)


def rsa(bits: int, seed: bytes) -> tuple[bytes, str]:
    modulus = 1 << bits - 1 | int.from_bytes(seed) << 1 | 1
    number = modulus.to_bytes(bits // 8 + 1)
    return wire(b"ssh-rsa", b"\1\0\1", number), key_title("RSA", bits)


KEYS = st.one_of(
    st.builds(ed25519, st.binary(min_size=ED25519_SIZE, max_size=ED25519_SIZE)),
    st.builds(rsa, st.integers(1024, MAX_RSA_BITS), st.binary(min_size=16, max_size=32)),
)


@settings(max_examples=10)  # each starts a process
@given(keys=st.lists(KEYS, min_size=1, max_size=20))
def test_the_art_is_that_of_ssh_keygen(
    tmp_path_factory: pytest.TempPathFactory, keys: list[tuple[bytes, str]]
) -> None:
    file = tmp_path_factory.getbasetemp() / "random_art.pub"
    lines = [f"{blob[4 : 4 + blob[3]].decode()} {b64encode(blob).decode()}" for blob, _ in keys]
    file.write_text("".join(f"{line} c\n" for line in lines))
    command = [require("ssh-keygen"), "-lv", "-f", str(file)]
    printed = subprocess.run(command, check=True, capture_output=True, text=True).stdout

    arts = [random_art(hashlib.sha256(blob).digest(), title) for blob, title in keys]

    shown = [line for line in printed.splitlines() if line[:1] in {"+", "|"}]
    assert shown == "\n".join(arts).splitlines()


def test_a_size_that_does_not_fit_into_the_border_is_left_out() -> None:
    assert key_title("ED25519-SK", 256) == "ED25519-SK 256"
    assert key_title("ED25519-CERT", 256) == "ED25519-CERT"
