"""Weak algorithms, small groups and injected packets, offered to a client and to the relay."""

from __future__ import annotations

import asyncio
import subprocess
from functools import cache
from typing import TYPE_CHECKING, Any

import asyncssh
import pytest

from tests.attacks.honest_client import LOGIN_PATIENCE, HonestClient
from tests.attacks.key_exchanges import (
    LOOPBACK,
    names_in,
    offer_of_server,
    read_offer,
)
from tests.attacks.old_algorithms_attack import offer_old_algorithms
from tests.attacks.victim import start_victim
from tests.relay.in_process_relay import USER, new_key, serve_relay
from tests.requirements import require
from tests.ssh.attempts import failure_of
from tests.ssh.server import connected, serve
from tests.ssh.waiting import DEADLINE, until
from tunnelkeeper.core.algorithms import GROUP_14
from tunnelkeeper.core.failures import Cause
from tunnelkeeper.relay.config import RelayLimits
from tunnelkeeper.ssh import group_exchange
from tunnelkeeper.ssh.asyncssh_logging import silence_asyncssh
from tunnelkeeper.ssh.auth.algorithms import key_exchanges, macs, relay_algorithms
from tunnelkeeper.ssh.group_exchange import check_group

if TYPE_CHECKING:
    from pathlib import Path

    from tests.e2e.sandbox import Sandbox
    from tunnelkeeper.ssh.negotiation import Offer

GROUP_EXCHANGE = "diffie-hellman-group-exchange-sha256"


@cache
def rsa_key(bits: int = 2048) -> asyncssh.SSHKey:
    return asyncssh.generate_private_key("ssh-rsa", key_size=bits)


def assert_modern(offer: Offer) -> None:
    """Check that an offer has no SHA-1, MD5, CBC, old key type or compression before a login."""
    for names in names_in(offer):
        assert not [name for name in names if "sha1" in name or "md5" in name or "cbc" in name]
        assert not {"ssh-rsa", "ssh-dss", "zlib"} & set(names)


# -- what each side offers -------------------------------------------------------------------------


async def test_the_relay_offers_what_its_table_has(tmp_path: Path) -> None:
    async with serve_relay(tmp_path, host_key=rsa_key()) as relay:
        offer = await offer_of_server(relay.port)

    kex, host_keys, ciphers, _, hashes, *_ = names_in(offer)
    expected = relay_algorithms()
    assert kex == [*expected.key_exchanges, "ext-info-s", "kex-strict-s-v00@openssh.com"]
    assert kex[0] == "mlkem768x25519-sha256"
    assert sorted(host_keys) == ["rsa-sha2-256", "rsa-sha2-512"]
    assert (ciphers, hashes) == (expected.ciphers, expected.macs)
    assert_modern(offer)


async def test_a_client_offers_what_its_table_has(tmp_path: Path) -> None:
    offers = list[Any]()

    async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"SSH-2.0-test\r\n")
        offers.append(await read_offer(reader))
        writer.close()

    async with serve(tmp_path) as server, await asyncio.start_server(accept, LOOPBACK, 0) as raw:
        host = server.host(ports=(raw.sockets[0].getsockname()[1],))
        await failure_of(host)

    [offer] = offers
    kex, _, _, _, hashes, *_ = names_in(offer)
    assert kex == [*key_exchanges(host), "ext-info-c", "kex-strict-c-v00@openssh.com"]
    assert kex[0] == "mlkem768x25519-sha256"
    assert hashes == macs(host)
    assert_modern(offer)


# -- servers with old algorithms -------------------------------------------------------------------


def old_host_key() -> asyncssh.SSHKeyPair:
    """Return an RSA key that signs with SHA-1 only."""
    (pair,) = asyncssh.load_keypairs([rsa_key()])
    pair.host_key_algorithms = (b"ssh-rsa",)
    return pair


OLD_SERVERS: dict[str, tuple[dict[str, Any], dict[str, str]]] = {
    "kex": (
        {"kex_algs": ["diffie-hellman-group14-sha1"]},
        {"kex_algorithms": "+diffie-hellman-group14-sha1"},
    ),
    "mac": (
        {"encryption_algs": ["aes128-ctr"], "mac_algs": ["hmac-sha1"]},
        {"macs": "+hmac-sha1"},
    ),
    "cipher": ({"encryption_algs": ["aes128-cbc"]}, {"ciphers": "+aes128-cbc"}),
    "host key": ({}, {"host_key_algorithms": "+ssh-rsa"}),
}
"""For each kind of list: options of a server with one old algorithm, and what enables it."""


@pytest.mark.parametrize("kind", OLD_SERVERS)
async def test_a_server_with_old_algorithms_needs_a_setting(tmp_path: Path, kind: str) -> None:
    options, setting = OLD_SERVERS[kind]
    if kind == "host key":
        options = {"server_host_keys": [old_host_key()]}
    async with serve(tmp_path, **options) as server:
        server.add_known_host_key(rsa_key())
        failure = await failure_of(server.host())
        assert (failure.cause, server.logins) == (Cause.KEY_EXCHANGE, [])
        if kind == "host key":
            server.known_hosts.write_text("")
            server.add_known_host_key(rsa_key())

        async with connected(server.host(**setting)):
            assert server.logins == ["me"]


@pytest.mark.parametrize("algorithm", ["ssh-rsa", "ssh-rsa-sha224@ssh.com", "rsa-sha2-256"])
async def test_a_server_cannot_sign_with_another_algorithm_than_those_offered(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, algorithm: str
) -> None:
    (pair,) = asyncssh.load_keypairs([rsa_key()])
    monkeypatch.setattr(type(pair), "set_sig_algorithm", lambda *_: None)
    pair.sig_algorithm = algorithm.encode()
    async with serve(tmp_path, server_host_keys=[pair]) as server:
        server.known_hosts.write_text("")
        server.add_known_host_key(rsa_key())
        host = server.host(host_key_algorithms="rsa-sha2-512")
        failure = await failure_of(host)
        assert failure.cause is Cause.KEY_EXCHANGE
        assert f"signed with {algorithm}" in failure.message
        assert server.logins == []

        async with connected(server.host(host_key_algorithms=f"rsa-sha2-512,{algorithm}")):
            assert server.logins == ["me"]


async def test_a_login_signs_with_sha_1_only_if_it_is_enabled(tmp_path: Path) -> None:
    async with serve(tmp_path, user_key=rsa_key(), signature_algs=["ssh-rsa"]) as server:
        failure = await failure_of(server.host())
        assert failure.cause is Cause.AUTH
        assert server.offered == []
        assert '"+ssh-rsa"' in failure.message + failure.hint

        async with connected(server.host(pubkey_accepted_algorithms="+ssh-rsa")):
            assert len(server.offered) > 0


async def test_a_group_of_1024_bits_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    smallest = asyncssh.kex_dh._dh_gex_groups[:1]
    monkeypatch.setattr("asyncssh.kex_dh._dh_gex_groups", smallest)
    async with serve(tmp_path, kex_algs=[GROUP_EXCHANGE]) as server:
        failure = await failure_of(server.host())

        assert failure.cause is Cause.KEY_EXCHANGE
        assert "1024 bits" in failure.message
        assert server.logins == []


async def test_a_group_exchange_asks_for_3072_bits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes = list[int]()

    def record(modulus: int, generator: int) -> None:
        sizes.append(modulus.bit_length())
        check_group(modulus, generator)

    monkeypatch.setattr(group_exchange, "check_group", record)
    async with (
        serve(tmp_path, kex_algs=[GROUP_EXCHANGE]) as server,
        connected(server.host()) as connection,
    ):
        assert (connection.transport.key_exchange, sizes) == (GROUP_EXCHANGE, [3072])


PRIME_2048 = asyncssh.kex_dh._group14_p


@pytest.mark.parametrize(
    ("modulus", "generator"),
    [
        (0, 2),
        (-PRIME_2048, 2),
        (PRIME_2048 >> 1 | 1, 2),
        (PRIME_2048 - 1, 2),
        (PRIME_2048, 0),
        (PRIME_2048, 1),
        (PRIME_2048, PRIME_2048 - 1),
        (PRIME_2048, PRIME_2048 + 2),
        (1 << 8192 | 1, 2),
    ],
)
def test_what_is_no_group_is_refused(modulus: int, generator: int) -> None:
    check_group(PRIME_2048, 2)
    with pytest.raises(asyncssh.KeyExchangeFailed):
        check_group(modulus, generator)


# -- clients with old algorithms -------------------------------------------------------------------


@pytest.mark.parametrize(
    "options",
    [
        {"kex_algs": [GROUP_EXCHANGE]},
        {"kex_algs": ["diffie-hellman-group-exchange-sha1"]},
        {"kex_algs": ["diffie-hellman-group14-sha1"]},
        {"kex_algs": ["diffie-hellman-group16-sha512"]},
        {"kex_algs": ["diffie-hellman-group18-sha512"]},
        {"kex_algs": ["rsa2048-sha256"]},
        {"server_host_key_algs": ["ssh-rsa"]},
        {"encryption_algs": ["aes128-cbc"]},
        {"encryption_algs": ["aes128-ctr"], "mac_algs": ["hmac-sha1"]},
        {"signature_algs": ["ssh-rsa"], "client_key": rsa_key},
    ],
)
async def test_the_relay_refuses_old_and_slow_algorithms(
    tmp_path: Path, options: dict[str, Any]
) -> None:
    options = dict(options)
    async with serve_relay(tmp_path, host_key=rsa_key()) as relay:
        key = options.pop("client_key", new_key)()
        relay.authorize(key)
        async with relay.client(key):
            pass  # with modern algorithms the key logs in
        with pytest.raises(asyncssh.DisconnectError):
            async with relay.client(key, **options):
                pass


async def test_offers_of_slow_key_exchanges_neither_end_nor_refuse_an_honest_client(
    sandbox: Sandbox,
) -> None:
    victim = start_victim(sandbox)
    with HonestClient(victim) as honest:
        async with asyncio.TaskGroup() as tasks:
            attack = tasks.create_task(offer_old_algorithms(victim, seconds=2 * LOGIN_PATIENCE))
            await honest.log_in()
            attack.cancel()

        assert honest.measure().count > 0


async def test_the_relay_takes_group_14_as_its_only_finite_field(tmp_path: Path) -> None:
    silence_asyncssh()  # in the test's own filters of warnings: such groups are deprecated
    async with serve_relay(tmp_path) as relay, relay.client(kex_algs=[GROUP_14]):
        assert len(relay.clients) == 1


@pytest.mark.parametrize(("algorithm", "is_accepted"), [("ssh-rsa", False), ("rsa-sha2-256", True)])
async def test_a_user_certificate_must_not_be_signed_with_sha_1(
    tmp_path: Path, algorithm: str, is_accepted: bool
) -> None:
    key = new_key()
    certificate = rsa_key().generate_user_certificate(
        key, "user", principals=[USER], sig_alg=algorithm
    )
    async with serve_relay(tmp_path) as relay:
        relay.authorize(rsa_key(), "cert-authority")
        logs_in = await can_log_in(relay, (key, certificate))

    assert logs_in == is_accepted


async def can_log_in(relay: Any, key: Any) -> bool:
    try:
        async with relay.client(key):
            return True
    except asyncssh.PermissionDenied:
        return False


@pytest.mark.parametrize(("required", "is_accepted"), [(1024, True), (3072, False)])
@pytest.mark.parametrize("certified", [False, True])
async def test_an_rsa_key_below_the_required_size_does_not_log_in(
    tmp_path: Path, required: int, is_accepted: bool, certified: bool
) -> None:
    authority, key = new_key(), rsa_key()
    certificate = authority.generate_user_certificate(key, "user", principals=[USER])
    limits = RelayLimits(penalties=False)
    async with serve_relay(tmp_path, required_rsa_size=required, limits=limits) as relay:
        if certified:
            relay.authorize(authority, "cert-authority")
        else:
            relay.authorize(key)
        logs_in = await can_log_in(relay, (key, certificate) if certified else key)

    assert logs_in == is_accepted


# -- guessed packets -------------------------------------------------------------------------------


def make_dropbear_key(path: Path) -> str:
    """Generate a key in Dropbear's format. Return the public key."""
    make = [require("dropbearkey"), "-t", "ed25519", "-f", str(path)]
    lines = subprocess.run(make, check=True, capture_output=True, text=True).stdout.splitlines()
    return next(line for line in lines if line.startswith("ssh-"))


@pytest.mark.parametrize("kind", ["ssh-ed25519", "ssh-rsa"])
async def test_a_guessed_packet_of_dropbear_is_ignored_if_the_guess_is_wrong(
    tmp_path: Path, kind: str
) -> None:
    key = tmp_path / "key"
    public_key = make_dropbear_key(key)
    host_key = rsa_key() if kind == "ssh-rsa" else new_key()
    async with serve_relay(tmp_path, host_key=host_key) as relay, asyncio.timeout(DEADLINE):
        with relay.authorized_keys.open("a") as file:
            file.write(f"{public_key}\n")
        options = ["-y", "-y", "-N", "-T", "-i", str(key), "-p", str(relay.port)]
        process = await asyncio.create_subprocess_exec(
            require("dbclient"),
            *options,
            *["-R", "home:22:127.0.0.1:9", f"{USER}@{LOOPBACK}"],
            stdin=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.DEVNULL,
            env={"HOME": str(tmp_path)},
        )
        try:
            await until(lambda: relay.bound_targets or process.returncode is not None)
            assert relay.bound_targets == ["home:22"]
        finally:
            process.kill()
            await process.wait()
