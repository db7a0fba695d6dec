from __future__ import annotations

import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from asyncssh.kex import get_kex_algs
from asyncssh.mac import get_mac_algs

from tests.requirements import require
from tunnelkeeper.core.algorithms import (
    AES_GCM,
    CERTIFICATES,
    CIPHERS,
    KEY_EXCHANGES,
    MACS,
    SIGNATURES,
)
from tunnelkeeper.core.configuration import Host
from tunnelkeeper.core.failures import Cause, FailureError
from tunnelkeeper.ssh.auth import algorithms
from tunnelkeeper.ssh.auth.algorithms import (
    ciphers,
    host_key_algorithms,
    key_exchanges,
    macs,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

CHACHA = "chacha20-poly1305@openssh.com"


def host(**changes: Any) -> Host:
    return Host("relay", "relay", "me", **changes)


def supported(names: Sequence[str], known: Sequence[bytes]) -> list[str]:
    return [name for name in names if name.encode() in known]


HOST_KEYS = SIGNATURES


@pytest.fixture
def _aes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(algorithms, "has_aes_instructions", lambda: True)


@pytest.fixture
def _no_aes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(algorithms, "has_aes_instructions", lambda: False)


# Defaults


@pytest.mark.usefixtures("_aes")
def test_aes_gcm_comes_first_by_default() -> None:
    offered = ciphers(host())

    assert offered[:2] == list(AES_GCM)
    assert sorted(offered) == sorted(CIPHERS)


@pytest.mark.usefixtures("_no_aes")
def test_without_aes_instructions_chacha_comes_first() -> None:
    assert ciphers(host()) == list(CIPHERS)
    assert CIPHERS[0] == CHACHA


def test_the_other_default_lists_are_those_that_asyncssh_supports() -> None:
    assert macs(host()) == supported(MACS, get_mac_algs())
    assert key_exchanges(host()) == supported(KEY_EXCHANGES, get_kex_algs())
    offered = host_key_algorithms(host(), (), prefer_certificates=False)
    assert sorted(offered) == sorted([*HOST_KEYS, *CERTIFICATES])


def test_host_keys_are_offered_in_the_order_of_ssh() -> None:
    query = subprocess.run(
        [require("ssh"), "-F", "none", "-G", "x"], check=True, capture_output=True, text=True
    )
    (line,) = [x for x in query.stdout.splitlines() if x.startswith("hostkeyalgorithms ")]
    wanted = line.split()[1].split(",")

    offered = host_key_algorithms(host(), (), prefer_certificates=True)
    certificates = [name for name in offered if "-cert-" in name]
    assert certificates + [name for name in offered if "-cert-" not in name] == offered
    assert [name for name in offered if name in wanted] == wanted


# Configured lists


@pytest.mark.usefixtures("_aes")
def test_a_plain_list_is_offered_unchanged() -> None:
    assert ciphers(host(ciphers=f"aes256-ctr,{CHACHA}")) == ["aes256-ctr", CHACHA]


@pytest.mark.usefixtures("_no_aes")
def test_a_plus_appends() -> None:
    assert ciphers(host(ciphers="+3des-cbc, aes128-cbc")) == [*CIPHERS, "3des-cbc", "aes128-cbc"]


@pytest.mark.usefixtures("_no_aes")
def test_a_caret_prepends_without_duplicates() -> None:
    offered = ciphers(host(ciphers="^aes256-ctr"))

    assert offered == ["aes256-ctr", *(name for name in CIPHERS if name != "aes256-ctr")]


@pytest.mark.usefixtures("_no_aes")
def test_a_minus_removes() -> None:
    offered = ciphers(host(ciphers=f"-{CHACHA},aes128-ctr"))

    assert offered == [name for name in CIPHERS if name not in {CHACHA, "aes128-ctr"}]


@pytest.mark.usefixtures("_aes")
def test_aes_gcm_stays_first_if_an_algorithm_is_added() -> None:
    offered = ciphers(host(ciphers="+3des-cbc"))

    assert (offered[:2], offered[-1]) == (list(AES_GCM), "3des-cbc")


@pytest.mark.parametrize(
    ("spec", "kept"),
    [("-*gcm*", ()), ("-aes?56*", ("aes128-gcm@openssh.com",)), ("*gcm@openssh.com", AES_GCM)],
)
def test_a_name_may_be_a_pattern(spec: str, kept: tuple[str, ...]) -> None:
    assert {name for name in ciphers(host(ciphers=spec)) if "gcm" in name} == set(kept)


def test_algorithms_unknown_to_asyncssh_are_dropped() -> None:
    assert ciphers(host(ciphers="rot13,aes256-ctr,,none-such")) == ["aes256-ctr"]


@pytest.mark.parametrize(
    ("key", "choose"),
    [
        ("ciphers", ciphers),
        ("macs", macs),
        ("kex_algorithms", key_exchanges),
        ("host_key_algorithms", lambda h: host_key_algorithms(h, (), prefer_certificates=False)),
    ],
)
def test_a_list_without_supported_algorithms_is_a_failure_that_needs_the_user(
    key: str, choose: Callable[[Host], list[str]]
) -> None:
    with pytest.raises(FailureError) as failed:
        choose(host(**{key: "rot13"}))

    failure = failed.value.failure
    assert failure.cause is Cause.KEY_EXCHANGE
    assert failure.needs_user
    assert failure.message == f"none of the {key} asked for is supported: rot13"
    assert failure.hint.startswith("choose among: ")
    assert failure.hop == "me@relay:22"


@pytest.mark.parametrize("key", ["macs", "kex_algorithms"])
def test_each_list_has_the_same_syntax(key: str) -> None:
    choose = {"macs": macs, "kex_algorithms": key_exchanges}[key]
    default = choose(host())

    assert choose(host(**{key: f"-{default[0]}"})) == default[1:]
    assert choose(host(**{key: f"^{default[-1]}"})) == [default[-1], *default[:-1]]


# Host keys


def test_the_types_of_known_keys_come_first() -> None:
    offered = host_key_algorithms(
        host(), ("ecdsa-sha2-nistp256", "ssh-rsa"), prefer_certificates=False
    )

    assert offered[:3] == ["ecdsa-sha2-nistp256", "rsa-sha2-512", "rsa-sha2-256"]
    assert sorted(offered) == sorted([*HOST_KEYS, *CERTIFICATES])


def test_known_types_are_offered_in_the_order_of_ssh() -> None:
    types = ("ssh-rsa", "ecdsa-sha2-nistp256", "ssh-ed25519")
    offered = host_key_algorithms(host(), types, prefer_certificates=False)

    assert offered[:3] == ["ssh-ed25519", "ecdsa-sha2-nistp256", "rsa-sha2-512"]


@pytest.mark.parametrize("known", ["ssh-quantum", "ssh-dss", "ssh-ed448"])
def test_a_known_key_of_another_type_is_not_offered(known: str) -> None:
    offered = host_key_algorithms(host(), (known,), prefer_certificates=False)

    assert offered == host_key_algorithms(host(), (), prefer_certificates=False)
    assert known not in offered


def test_certificates_come_first_if_a_ca_key_is_known() -> None:
    offered = host_key_algorithms(host(), ("ecdsa-sha2-nistp256",), prefer_certificates=True)

    assert set(offered[: len(CERTIFICATES)]) == set(CERTIFICATES)
    assert offered[len(CERTIFICATES)] == "ecdsa-sha2-nistp256"


def test_without_a_ca_key_certificates_come_last() -> None:
    offered = host_key_algorithms(host(), (), prefer_certificates=False)

    assert set(offered[-len(CERTIFICATES) :]) == set(CERTIFICATES)


@pytest.mark.parametrize("prefer", [False, True])
def test_a_configured_list_is_offered_as_it_is(prefer: bool) -> None:
    chosen = "ssh-ed25519-cert-v01@openssh.com,ssh-ed25519"

    offered = host_key_algorithms(host(host_key_algorithms=chosen), (), prefer_certificates=prefer)
    assert offered == chosen.split(",")


# The processor


@pytest.fixture
def _forget() -> Iterator[None]:
    algorithms.has_aes_instructions.cache_clear()
    yield
    algorithms.has_aes_instructions.cache_clear()


@pytest.mark.usefixtures("_forget")
@pytest.mark.parametrize(
    ("cpuinfo", "expected"),
    [
        ("processor : 0\nflags\t\t: fpu aes avx\n", True),
        ("processor : 0\nflags\t\t: fpu avx\n", False),
        ("processor : 0\nFeatures\t: fp asimd aes\n", True),
        ("processor : 0\nFeatures\t: fp asimd\n", False),
        ("isa : rv64\n", True),
        (None, True),
    ],
)
def test_aes_support_is_read_from_cpuinfo(
    cpuinfo: str | None, expected: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    def read_text(path: Path, **_: object) -> str:
        assert path == Path("/proc/cpuinfo")
        if cpuinfo is None:
            raise FileNotFoundError
        return cpuinfo

    monkeypatch.setattr(Path, "read_text", read_text)

    assert algorithms.has_aes_instructions() is expected


@pytest.mark.parametrize(
    ("accepted", "key_type", "may"),
    [
        (None, "ssh-rsa", True),
        ("ssh-ed25519", "ssh-ed25519", True),
        ("ssh-ed25519", "ssh-rsa", False),
        ("rsa-sha2-256", "ssh-rsa", True),
        ("ssh-ed25519", "ssh-ed25519-cert-v01@openssh.com", False),
        ("rsa-sha2-512-cert-v01@openssh.com", "ssh-rsa-cert-v01@openssh.com", True),
        ("rsa-sha2-512-cert-v01@openssh.com", "ssh-rsa", False),
        ("-ssh-ed25519", "ssh-ed25519", False),
    ],
)
def test_a_key_is_accepted_if_an_algorithm_of_its_type_is(
    accepted: str | None, key_type: str, may: bool
) -> None:
    host = Host("relay", "relay", "me", pubkey_accepted_algorithms=accepted)

    assert algorithms.is_key_type_accepted(host, key_type) == may


def test_an_accepted_certificate_signs_with_the_algorithm_of_its_key() -> None:
    accepted = "ssh-ed25519-cert-v01@openssh.com,rsa-sha2-512-cert-v01@openssh.com"
    host = Host("relay", "relay", "me", pubkey_accepted_algorithms=accepted)

    assert algorithms.signature_algorithms(host) == ["ssh-ed25519", "rsa-sha2-512"]


MODERN = ("rsa-sha2-256", "rsa-sha2-512", "ssh-ed25519")
RSA_CERTIFICATE = "ssh-rsa-cert-v01@openssh.com"
OLD_CERTIFICATE = f"+{RSA_CERTIFICATE}"


@pytest.mark.parametrize(
    ("key_type", "accepted", "server", "version", "offered", "signed"),
    [
        ("ssh-ed25519", None, MODERN, "", "ssh-ed25519", "ssh-ed25519"),
        ("ssh-ed25519", None, (), "", "ssh-ed25519", "ssh-ed25519"),
        ("ssh-rsa", None, MODERN, "", "rsa-sha2-512", "rsa-sha2-512"),
        ("ssh-rsa", "rsa-sha2-256,rsa-sha2-512", MODERN, "", "rsa-sha2-256", "rsa-sha2-256"),
        ("ssh-rsa", None, ("rsa-sha2-256",), "", "rsa-sha2-256", "rsa-sha2-256"),
        ("ssh-rsa", "+ssh-rsa", (), "", "ssh-rsa", "ssh-rsa"),
        ("ssh-rsa", "+ssh-rsa", MODERN, "", "rsa-sha2-512", "rsa-sha2-512"),
        ("ssh-rsa", None, ("ssh-ed25519",), "OpenSSH_7.4p1", "rsa-sha2-512", "rsa-sha2-512"),
        (RSA_CERTIFICATE, None, MODERN, "", "rsa-sha2-512-cert-v01@openssh.com", "rsa-sha2-512"),
        (RSA_CERTIFICATE, OLD_CERTIFICATE, MODERN, "OpenSSH_7.7", RSA_CERTIFICATE, "rsa-sha2-512"),
        (RSA_CERTIFICATE, OLD_CERTIFICATE, (), "OpenSSH_6.6", RSA_CERTIFICATE, "ssh-rsa"),
        (
            "sk-ssh-ed25519-cert-v01@openssh.com",
            None,
            MODERN,
            "",
            "sk-ssh-ed25519-cert-v01@openssh.com",
            "sk-ssh-ed25519@openssh.com",
        ),
    ],
)
def test_the_algorithm_of_a_key_is_the_first_that_both_sides_accept(
    key_type: str,
    accepted: str | None,
    server: tuple[str, ...],
    version: str,
    offered: str,
    signed: str,
) -> None:
    host = Host("relay", "relay", "me", pubkey_accepted_algorithms=accepted)
    signatures = algorithms.ServerSignatures(frozenset(server), version)

    assert algorithms.offered_algorithm(host, key_type, signatures) == offered
    assert algorithms.signature_algorithm(offered, signatures) == signed


@pytest.mark.parametrize(
    ("key_type", "accepted", "server"),
    [
        ("ssh-ed25519", "rsa-sha2-512", MODERN),
        ("ssh-rsa", "rsa-sha2-512", ("rsa-sha2-256",)),
        ("ssh-rsa", "rsa-sha2-512", ()),
        ("ssh-rsa", None, ()),
        ("ssh-rsa", None, ("ssh-rsa",)),
        (RSA_CERTIFICATE, None, ()),
        (RSA_CERTIFICATE, "rsa-sha2-512", MODERN),
    ],
)
def test_a_key_without_a_common_algorithm_is_not_offered(
    key_type: str, accepted: str | None, server: tuple[str, ...]
) -> None:
    host = Host("relay", "relay", "me", pubkey_accepted_algorithms=accepted)
    signatures = algorithms.ServerSignatures(frozenset(server))

    assert algorithms.offered_algorithm(host, key_type, signatures) is None
