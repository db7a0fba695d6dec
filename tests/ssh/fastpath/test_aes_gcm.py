"""CachedGcm and the cipher of asyncssh can replace each other at any packet."""

from __future__ import annotations

from typing import Any

import pytest
from asyncssh.crypto.cipher import GCMCipher
from asyncssh.encryption import GCMEncryption, get_encryption
from cryptography.exceptions import InvalidTag
from hypothesis import given
from hypothesis import strategies as st

from tunnelkeeper.ssh.fastpath.aes_gcm import TAG_BYTES, CachedGcm, install_cached_gcm

KEY = bytes(range(16))
IV = bytes(range(12))
LAST_IV = bytes(4) + b"\xff" * 8
"""After this IV the counter wraps to zero (RFC 5647 section 7.1)."""


def ciphers(key: bytes = KEY, iv: bytes = IV) -> tuple[CachedGcm, GCMCipher]:
    """Return a CachedGcm and an asyncssh cipher with the same state."""
    name = f"aes{8 * len(key)}-gcm"
    return CachedGcm(GCMCipher(name, key, iv)), GCMCipher(name, key, iv)


def encryption(name: str, key: bytes = KEY, iv: bytes = IV) -> Any:
    return get_encryption(name.encode(), key, iv, b"hmac-sha2-256", bytes(32))


@pytest.mark.parametrize("iv", [IV, LAST_IV], ids=["any counter", "last counter"])
@pytest.mark.parametrize("key", [bytes(16), bytes(32)], ids=["128", "256"])
def test_sealed_packets_equal_those_of_asyncssh(key: bytes, iv: bytes) -> None:
    cached_gcm, asyncssh_cipher = ciphers(key, iv)
    for size in (0, 1, 16, 32, 40_000):
        header, data = size.to_bytes(4), bytes(size)

        assert cached_gcm.encrypt_and_sign(header, data) == asyncssh_cipher.encrypt_and_sign(
            header, data
        )


@pytest.mark.parametrize("iv", [IV, LAST_IV], ids=["any counter", "last counter"])
def test_packets_sealed_by_asyncssh_are_opened(iv: bytes) -> None:
    cached_gcm, asyncssh_cipher = ciphers(iv=iv)
    for data in (b"one", b"two", b"three"):
        sealed, tag = asyncssh_cipher.encrypt_and_sign(b"head", data)

        assert cached_gcm.verify_and_decrypt(b"head", sealed[4:], tag) == data


def test_seal_returns_the_ciphertext_and_its_tag() -> None:
    cached_gcm, asyncssh_cipher = ciphers()
    sealed, tag = asyncssh_cipher.encrypt_and_sign(b"head", b"data")

    assert cached_gcm.seal(b"head", b"data") == sealed[4:] + tag
    assert len(tag) == TAG_BYTES


def test_peek_does_not_consume_a_packet() -> None:
    cached_gcm, asyncssh_cipher = ciphers()
    sealed = [asyncssh_cipher.encrypt_and_sign(b"head", data) for data in (b"one", b"two")]
    first, second = (memoryview(data)[4:].tobytes() + tag for data, tag in sealed)

    assert cached_gcm.peek(b"head", first) == b"one"
    assert cached_gcm.peek(memoryview(b"head"), memoryview(first)) == b"one"

    cached_gcm.advance()

    assert cached_gcm.peek(b"head", second) == b"two"


@pytest.mark.parametrize("flipped", range(4 + 3 + TAG_BYTES))
def test_tampering_is_detected_at_every_byte(flipped: int) -> None:
    cached_gcm, asyncssh_cipher = ciphers()
    packet = bytearray(b"".join(asyncssh_cipher.encrypt_and_sign(b"head", b"abc")))
    packet[flipped] ^= 1
    header, data, tag = bytes(packet[:4]), bytes(packet[4:7]), bytes(packet[7:])

    assert cached_gcm.verify_and_decrypt(header, data, tag) is None
    with pytest.raises(InvalidTag):
        cached_gcm.peek(header, data + tag)


@given(st.lists(st.tuples(st.booleans(), st.binary(max_size=40))), st.integers(0, 2**64 - 1))
def test_methods_can_alternate_at_any_packet(
    packets: list[tuple[bool, bytes]], counter: int
) -> None:
    """All methods advance the same counter."""
    iv = IV[:4] + counter.to_bytes(8)
    (sender, asyncssh_cipher), (receiver, _) = ciphers(iv=iv), ciphers(iv=iv)
    for directly, data in packets:
        sealed, tag = asyncssh_cipher.encrypt_and_sign(b"head", data)
        if directly:
            assert sender.seal(b"head", data) == sealed[4:] + tag
            assert receiver.peek(b"head", sealed[4:] + tag) == data
            receiver.advance()
        else:
            assert sender.encrypt_and_sign(b"head", data) == (sealed, tag)
            assert receiver.verify_and_decrypt(b"head", sealed[4:], tag) == data


def test_an_installed_cipher_continues_the_counter() -> None:
    installed, reference = (encryption("aes128-gcm@openssh.com") for _ in range(2))
    for number in range(3):
        assert installed.encrypt_packet(number, b"head", b"x") == reference.encrypt_packet(
            number, b"head", b"x"
        )

    cached_gcm = install_cached_gcm(installed)

    assert cached_gcm is not None
    assert install_cached_gcm(installed) is cached_gcm
    assert installed.encrypt_packet(3, b"head", b"x") == reference.encrypt_packet(3, b"head", b"x")
    assert b"head" + cached_gcm.seal(b"head", b"x") == b"".join(
        reference.encrypt_packet(4, b"head", b"x")
    )


def test_each_encryption_object_has_its_own_cipher() -> None:
    first, second = (encryption("aes128-gcm@openssh.com") for _ in range(2))

    assert isinstance(first, GCMEncryption)
    assert install_cached_gcm(first) is not install_cached_gcm(second)


@pytest.mark.parametrize(
    ("name", "key_size"),
    [("chacha20-poly1305@openssh.com", 64), ("aes128-ctr", 16), ("aes128-cbc", 16)],
)
def test_other_ciphers_are_not_replaced(name: str, key_size: int) -> None:
    other_encryption = encryption(name, bytes(key_size), bytes(16))
    cipher = other_encryption._cipher

    assert install_cached_gcm(other_encryption) is None
    assert other_encryption._cipher is cipher


def test_an_unencrypted_connection_has_no_cipher() -> None:
    assert install_cached_gcm(None) is None
