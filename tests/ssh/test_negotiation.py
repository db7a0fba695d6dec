"""Lists of algorithms without a common one: what the message says, whatever the peer sends."""

from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
from asyncssh.packet import NameList, SSHPacket
from hypothesis import given
from hypothesis import strategies as st

from tests.ssh.attempts import failure_of
from tests.ssh.server import serve
from tunnelkeeper.core.failures import Cause
from tunnelkeeper.core.text import RECORD_LIMIT
from tunnelkeeper.ssh.errors import to_failure
from tunnelkeeper.ssh.negotiation import (
    AlgorithmKind,
    Mismatch,
    NoCommonAlgorithmError,
    Offer,
    find_mismatch,
    is_wrong_guess,
    parse_kexinit,
    process_kexinit,
)

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

OWN = SimpleNamespace(
    _kex_algs=[b"curve25519-sha256"],
    _server_host_key_algs=[b"ssh-ed25519"],
    _enc_algs=[b"aes128-gcm@openssh.com", b"aes128-ctr"],
    _mac_algs=[b"hmac-sha2-256"],
    _cmp_algs=[b"none"],
    is_client=lambda: True,
)
"""The parts of a connection that hold our lists."""

GCM = [b"aes128-gcm@openssh.com"]
CTR = [b"aes128-ctr"]
COMMON = [OWN._kex_algs, OWN._server_host_key_algs, GCM, GCM, [], [], [b"none"], [b"none"]]


def kexinit(lists: Sequence[Sequence[bytes]]) -> bytes:
    languages, rest = NameList([]) * 2, bytes(5)
    return bytes(16) + b"".join(NameList(names) for names in lists) + languages + rest


def with_list(at: int, *names: bytes, ciphers: list[bytes] = GCM) -> bytes:
    lists = [*COMMON[:2], ciphers, ciphers, *COMMON[4:]]
    lists[at] = list(names)
    return kexinit(lists)


def mismatch_of(payload: bytes, own: Any = OWN) -> Mismatch | None:
    offer = parse_kexinit(payload)
    assert offer is not None
    return find_mismatch(own, offer)


def text_of(mismatch: Mismatch | None) -> str:
    assert mismatch is not None
    failure = to_failure(NoCommonAlgorithmError(mismatch), "hop", "key_exchange")
    assert failure.cause is Cause.KEY_EXCHANGE
    return f"{failure.message} ({failure.hint})"


def test_common_algorithms_are_no_mismatch() -> None:
    assert mismatch_of(kexinit(COMMON)) is None


@pytest.mark.parametrize(
    ("payload", "kind"),
    [
        (with_list(0, b"diffie-hellman-group1-sha1"), "key exchange"),
        (with_list(1, b"ssh-dss"), "host key"),
        (with_list(2, b"3des-cbc"), "cipher"),
        (with_list(3, b"3des-cbc"), "cipher"),
        (with_list(4, b"hmac-md5", ciphers=CTR), "MAC"),
        (kexinit([*COMMON[:3], CTR, [], [b"hmac-md5"], *COMMON[6:]]), "MAC"),
        (with_list(6, b"zlib"), "compression"),
        (with_list(7, b"zlib"), "compression"),
    ],
)
def test_the_first_list_without_a_common_algorithm_is_named(payload: bytes, kind: str) -> None:
    mismatch = mismatch_of(payload)

    assert mismatch is not None
    assert mismatch.kind == kind


def test_a_cipher_that_authenticates_needs_no_mac() -> None:
    assert mismatch_of(with_list(4, b"hmac-md5")) is None


def test_extensions_are_not_algorithms() -> None:
    extensions = (b"ext-info-s", b"kex-strict-s-v00@openssh.com")
    mismatch = mismatch_of(with_list(0, b"old", *extensions))

    assert text_of(mismatch).startswith("no common key exchange algorithm; the server offers old (")
    assert "offers none (" in text_of(mismatch_of(with_list(0, *extensions)))


@pytest.mark.parametrize(
    ("kind", "theirs", "advice"),
    [
        (AlgorithmKind.KEX, "x,diffie-hellman-group1-sha1", 'kex_algorithms = "+diffie-hellman-gr'),
        (AlgorithmKind.HOST_KEY, "ssh-dss", 'host_key_algorithms = "+ssh-dss"'),
        (AlgorithmKind.CIPHER, "3des-cbc,aes256-cbc", 'ciphers = "+aes256-cbc"'),
        (AlgorithmKind.MAC, "hmac-md5", 'macs = "+hmac-md5"'),
        (AlgorithmKind.COMPRESSION, "zlib@openssh.com", "compression = true"),
        (AlgorithmKind.COMPRESSION, "zlib", "supports none of these"),
        (AlgorithmKind.KEX, "gss-group1-sha1", "supports none of these"),
        (AlgorithmKind.CIPHER, "", "supports none of these"),
    ],
)
def test_the_hint_names_the_best_algorithm_that_both_support(
    kind: AlgorithmKind, theirs: str, advice: str
) -> None:
    assert advice in Mismatch(kind, tuple(theirs.split(",")), ("own",)).hint()


@given(st.lists(st.binary(min_size=1).filter(lambda name: b"," not in name)))
def test_any_bytes_of_the_peer_are_shown_on_one_line(names: list[bytes]) -> None:
    text = text_of(mismatch_of(with_list(0, *names)))

    assert text.isprintable()
    assert text.endswith("this side offers curve25519-sha256)")


def test_long_lists_fit_into_a_log_record() -> None:
    theirs = [b"\x1b%d" % number for number in range(5000)]
    own = SimpleNamespace(**{**vars(OWN), "_kex_algs": [b"name-%d" % n for n in range(5000)]})
    text = text_of(mismatch_of(with_list(0, *theirs), own))

    assert len(text) < RECORD_LIMIT
    assert "supports none of these" in text


@given(st.binary())
def test_a_message_that_cannot_be_parsed_is_left_to_asyncssh(payload: bytes) -> None:
    assert parse_kexinit(payload) is None


CURVE, ED25519 = OWN._kex_algs[0], OWN._server_host_key_algs[0]


@pytest.mark.parametrize(
    ("key_exchanges", "host_keys", "is_wrong"),
    [
        ([CURVE], [ED25519], False),
        ([CURVE, b"other"], [ED25519, b"ssh-rsa"], False),
        ([b"other", CURVE], [ED25519], True),
        ([CURVE], [b"ssh-rsa", ED25519], True),
        ([], [ED25519], True),
    ],
)
def test_a_guess_is_right_if_both_sides_prefer_the_same(
    key_exchanges: list[bytes], host_keys: list[bytes], is_wrong: bool
) -> None:
    lists = (key_exchanges, host_keys, *COMMON[2:])

    assert is_wrong_guess(OWN, Offer(lists, has_guess=True)) == is_wrong
    assert not is_wrong_guess(OWN, Offer(lists, has_guess=False))


@pytest.mark.parametrize("has_guess", [False, True])
def test_whether_a_guess_follows_is_in_the_message(has_guess: bool) -> None:
    payload = kexinit(COMMON)
    offer = parse_kexinit(payload[:-5] + bytes([has_guess]) + payload[-4:])

    assert offer is not None
    assert offer.has_guess == has_guess


def test_a_mismatch_ends_the_key_exchange() -> None:
    with pytest.raises(NoCommonAlgorithmError, match=r"^no common host key algorithm$"):
        process_kexinit(OWN, 20, 0, SSHPacket(with_list(1, b"ssh-dss")))


@pytest.mark.parametrize(
    ("options", "changes", "message"),
    [
        (
            {"kex_algs": ["diffie-hellman-group1-sha1"]},
            {},
            "no common key exchange algorithm; the server offers diffie-hellman-group1-sha1",
        ),
        (
            {},
            {"host_key_algorithms": "ecdsa-sha2-nistp256"},
            "no common host key algorithm; the server offers ssh-ed25519",
        ),
        (
            {"compression_algs": ["zlib@openssh.com"]},
            {},
            "no common compression algorithm; the server offers zlib@openssh.com",
        ),
    ],
)
async def test_a_server_without_a_common_algorithm_is_a_key_exchange_failure(
    tmp_path: Path, options: dict[str, Any], changes: dict[str, Any], message: str
) -> None:
    async with serve(tmp_path, **options) as server:
        failure = await failure_of(server.host(**changes))

    assert (failure.cause, failure.message) == (Cause.KEY_EXCHANGE, message)
