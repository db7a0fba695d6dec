"""Our algorithms, held against those of the installed OpenSSH."""

from __future__ import annotations

import subprocess
from functools import cache
from typing import TYPE_CHECKING

import pytest

from tests.e2e.keys import make_key
from tests.requirements import require
from tunnelkeeper.core.algorithms import (
    CERTIFICATES,
    CIPHERS,
    GROUP_14,
    KEY_EXCHANGES,
    MACS,
    POST_QUANTUM,
    RELAY_KEY_EXCHANGES,
    SIGNATURES,
)

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

NEWER = {
    "sntrup761x25519-sha512",  # OpenSSH 9.9, before that with @openssh.com
    "mlkem768x25519-sha256",  # OpenSSH 9.9; the default since 10.0
}
"""Names that an older OpenSSH does not know."""

LISTS = {
    "kexalgorithms": KEY_EXCHANGES,
    "ciphers": CIPHERS,
    "macs": MACS,
    "hostkeyalgorithms": (*CERTIFICATES, *SIGNATURES),
    "pubkeyacceptedalgorithms": (*CERTIFICATES, *SIGNATURES),
    "casignaturealgorithms": SIGNATURES,
}
"""Each keyword of ssh_config(5) and the default of a client."""

RELAY_LISTS = {**LISTS, "kexalgorithms": RELAY_KEY_EXCHANGES}

EVERY_NAME = sorted({name for names in LISTS.values() for name in names})


@cache
def answer_of(*command: str) -> dict[str, list[str]]:
    """Return the lists in the effective configuration that ssh or sshd prints."""
    text = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    lines = (line.partition(" ") for line in text.splitlines())
    return {keyword: value.split(",") for keyword, _, value in lines}


def assert_not_weaker(ours: Sequence[str], theirs: list[str]) -> None:
    assert set(ours) <= {*theirs, *NEWER}
    assert len(set(ours)) == len(ours)


@pytest.mark.parametrize("keyword", LISTS)
def test_the_defaults_of_a_client_are_among_those_of_ssh(keyword: str) -> None:
    ssh = answer_of(require("ssh"), "-G", "-F", "none", "host")

    assert_not_weaker(LISTS[keyword], ssh[keyword])


@pytest.mark.parametrize("keyword", ["kexalgorithms", "macs", "casignaturealgorithms"])
def test_the_order_of_preference_is_that_of_ssh(keyword: str) -> None:
    ssh = answer_of(require("ssh"), "-G", "-F", "none", "host")[keyword]
    common = [name for name in LISTS[keyword] if name in ssh]

    assert common == [name for name in ssh if name in common]


@pytest.mark.parametrize("keyword", RELAY_LISTS)
def test_the_algorithms_of_the_relay_are_among_those_of_sshd(keyword: str, tmp_path: Path) -> None:
    key = make_key(tmp_path / "key")
    sshd = answer_of(require("sshd"), "-T", "-f", "/dev/null", "-h", str(key))

    # sshd 10 does not offer group 14 by default, since it is slow; its ssh still does.
    assert_not_weaker(RELAY_LISTS[keyword], [*sshd[keyword], GROUP_14])


@pytest.mark.parametrize(
    ("query", "names"),
    [("kex", KEY_EXCHANGES), ("cipher", CIPHERS), ("mac", MACS), ("sig", SIGNATURES)],
)
def test_every_name_is_one_that_openssh_knows(query: str, names: Sequence[str]) -> None:
    known = subprocess.run(
        [require("ssh"), "-Q", query], check=True, capture_output=True, text=True
    ).stdout.split()

    assert set(names) <= {*known, *NEWER}


@pytest.mark.parametrize("name", EVERY_NAME)
def test_no_algorithm_is_old(name: str) -> None:
    parts = name.removesuffix("@openssh.com").removesuffix("-cert-v01").split("-")
    bare = "-".join(parts)

    assert bare not in {"ssh-rsa", "ssh-dss"}
    assert not {"sha1", "md5", "cbc", "group1", "96"} & set(parts)


def test_the_relay_has_no_group_exchange_and_no_group_above_14() -> None:
    assert [name for name in RELAY_KEY_EXCHANGES if "diffie-hellman" in name] == [GROUP_14]


def test_post_quantum_key_exchanges_come_first_and_ml_kem_before_them() -> None:
    for names in (KEY_EXCHANGES, RELAY_KEY_EXCHANGES):
        assert names[: len(POST_QUANTUM)] == POST_QUANTUM
    assert POST_QUANTUM[0] == "mlkem768x25519-sha256"
