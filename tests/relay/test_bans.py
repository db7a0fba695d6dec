"""Bans of addresses, networks and keys: what they match, how they are kept, and what they do."""

from __future__ import annotations

import contextlib
import json
import stat
from datetime import UTC, datetime, timedelta
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from typing import TYPE_CHECKING

import asyncssh
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.fake_clock import FakeClock
from tests.relay.in_process_relay import new_key, serve_relay
from tunnelkeeper.control.api import RequestFailedError
from tunnelkeeper.paths import relay_state_folder
from tunnelkeeper.relay import ban_file, bans
from tunnelkeeper.relay.access_control import AccessControl, NotFoundError
from tunnelkeeper.relay.ban_file import BanFileError
from tunnelkeeper.relay.bans import (
    Ban,
    BanList,
    BanTargetError,
    TooManyBansError,
    end_of,
    parse_target,
)

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from tests.relay.in_process_relay import InProcessRelay

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)
FINGERPRINT = f"SHA256:{'a' * 43}"

networks = st.one_of(
    st.builds(
        lambda bits, length: IPv4Network((bits, length), strict=False),
        st.sampled_from([0, 0xC0000207, 0xC0000200, 0xFFFFFFFF]),
        st.integers(0, 32),
    ),
    st.builds(
        lambda bits, length: IPv6Network((bits, length), strict=False),
        st.sampled_from([1, 0x20010DB8 << 96, (0x20010DB8 << 96) + 7]),
        st.integers(0, 128),
    ),
)
hosts = st.sampled_from(
    ["192.0.2.7", "192.0.2.8", "255.255.255.255", "::1", "2001:db8::7", "::ffff:192.0.2.7"]
)


# -- targets ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "shown", "host"),
    [
        ("192.0.2.7", "192.0.2.7", "192.0.2.7"),
        ("192.0.2.7/32", "192.0.2.7", "192.0.2.7"),
        ("192.0.2.7/24", "192.0.2.0/24", "192.0.2.200"),
        ("0.0.0.0/0", "0.0.0.0/0", "192.0.2.7"),
        ("::ffff:192.0.2.7", "192.0.2.7", "192.0.2.7"),
        ("::ffff:192.0.2.0/120", "192.0.2.0/24", "192.0.2.7"),
        ("192.0.2.7", "192.0.2.7", "::ffff:192.0.2.7"),
        ("2001:db8::/32", "2001:db8::/32", "2001:db8:5::1"),
        ("fe80::1%eth0", "fe80::1", "fe80::1%eth1"),
    ],
)
def test_an_address_or_network_is_banned(text: str, shown: str, host: str) -> None:
    banned = BanList([Ban(parse_target(text), NOW)])

    found = banned.of_address(host, NOW)

    assert found is not None
    assert str(found) == shown


@pytest.mark.parametrize(
    "text",
    [
        *["", "box", "192.0.2", "192.0.2.7/33", "192.0.2.7/", "::/129", "192.0.2.7:22"],
        *["SHA256:", f"SHA256:{'a' * 42}", f"SHA256:{'a' * 44}", f"MD5:{'a' * 43}", "/8"],
        *["example.com", "192.0.2.7\n", "\ud800", "*"],
    ],
)
def test_another_target_is_refused_with_examples(text: str) -> None:
    with pytest.raises(BanTargetError, match="expected an address, a network such as"):
        parse_target(text)


@given(st.lists(networks, max_size=12), hosts)
def test_a_ban_is_found_as_if_all_were_compared(targets: list[IPv4Network], host: str) -> None:
    banned = BanList(Ban(target, NOW) for target in targets)
    address = ip_address(host)
    address = getattr(address, "ipv4_mapped", None) or address

    found = banned.of_address(host, NOW)

    assert (found is not None) == any(address in ip_network(target) for target in targets)


@given(st.text(max_size=60))
def test_any_text_is_a_target_or_refused(text: str) -> None:
    try:
        target = parse_target(text)
    except BanTargetError:
        return
    assert parse_target(str(Ban(target, NOW))) == target


# -- the list --------------------------------------------------------------------------------------


def test_a_ban_ends_and_one_without_an_end_stays() -> None:
    network, address = parse_target("192.0.2.0/24"), parse_target("192.0.2.7")
    banned = BanList([Ban(network, NOW, NOW + HOUR), Ban(address, NOW)])

    assert banned.of_address("192.0.2.8", NOW + HOUR - timedelta.resolution) is not None
    assert banned.of_address("192.0.2.8", NOW + HOUR) is None
    assert [ban.target for ban in banned.current(NOW + HOUR)] == [address]
    assert banned.of_address("192.0.2.7", NOW + 1000 * HOUR) is not None
    assert banned.remove(address)
    assert not banned.remove(address)
    assert banned.of_address("192.0.2.7", NOW) is None


def test_a_second_ban_of_a_target_changes_its_end() -> None:
    banned = BanList([Ban(FINGERPRINT, NOW, NOW + HOUR)])
    banned.add(Ban(FINGERPRINT, NOW + HOUR / 2, None))

    assert banned.current(NOW + 2 * HOUR) == [Ban(FINGERPRINT, NOW, None)]


def test_the_number_of_bans_is_limited_to_those_in_force(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bans, "MAX_BANS", 2)
    banned = BanList([Ban(parse_target(f"192.0.2.{n}"), NOW, NOW + HOUR) for n in (1, 2)])
    banned.add(Ban(parse_target("192.0.2.2"), NOW))
    with pytest.raises(TooManyBansError, match="2 bans are in force"):
        banned.add(Ban(FINGERPRINT, NOW))
    banned.add(Ban(FINGERPRINT, NOW + HOUR))

    assert len(banned) == 2


def test_a_ban_beyond_the_calendar_has_no_end() -> None:
    assert end_of(NOW, 1e15) is None
    assert end_of(NOW, None) is None
    assert end_of(NOW, 60) == NOW + timedelta(minutes=1)


# -- the file --------------------------------------------------------------------------------------


def test_bans_are_the_same_after_a_restart(tmp_path: Path) -> None:
    path = tmp_path / "state" / "bans.json"
    saved = [Ban(FINGERPRINT, NOW), Ban(parse_target("2001:db8::/32"), NOW, NOW + HOUR)]

    ban_file.save(path, "relay.toml", saved)

    assert ban_file.load(path) == saved
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert [entry.name for entry in path.parent.iterdir()] == ["bans.json"]
    ban_file.save(path, "relay.toml", [])
    assert not path.exists()
    assert ban_file.load(path) == []


def test_a_file_that_cannot_be_written_keeps_its_content(tmp_path: Path) -> None:
    path = tmp_path / "file" / "bans.json"
    path.parent.write_text("not a folder")

    with pytest.raises(BanFileError, match=r"cannot write .*bans\.json: "):
        ban_file.save(path, "", [Ban(FINGERPRINT, NOW)])
    assert path.parent.read_text() == "not a folder"


@pytest.mark.parametrize(
    "content",
    [
        "",
        "[]",
        '{"config": "", "bans": [{"target": "x", "since": "2026-11-22T12:00:00Z"}]}',
        '{"config": "", "bans": [{"target": "192.0.2.7", "since": "2026-11-22T12:00:00"}]}',
        '{"config": "", "bans": [{"target": "192.0.2.7", "since": "yesterday"}]}',
        "[" * 100_000,
        json.dumps({"config": "x" * ban_file.SIZE_LIMIT, "bans": []}),
    ],
)
def test_a_file_that_cannot_be_read_is_an_error(tmp_path: Path, content: str) -> None:
    path = tmp_path / "bans.json"
    path.write_text(content)

    with pytest.raises(BanFileError, match="repair the file, or remove it"):
        ban_file.load(path)


@given(content=st.binary(max_size=200))
def test_any_content_is_read_or_is_an_error(
    tmp_path_factory: pytest.TempPathFactory, content: bytes
) -> None:
    path = tmp_path_factory.getbasetemp() / "any.json"
    path.write_bytes(content)
    with contextlib.suppress(BanFileError):
        ban_file.load(path)


def test_each_relay_has_a_file_of_its_own_in_the_folder_of_its_unit(tmp_path: Path) -> None:
    first, second = (tmp_path / name / "relay.toml" for name in ("a", "b"))
    env = {"XDG_STATE_HOME": "/state", "HOME": "/home/relay"}

    assert ban_file.path_for(first, env) != ban_file.path_for(second, env)
    assert relay_state_folder(env).as_posix() == "/state/tunnelkeeper-relay"
    unit = {**env, "STATE_DIRECTORY": "/var/lib/relay:/var/lib/other"}
    assert relay_state_folder(unit).as_posix() == "/var/lib/relay"


# -- the relay -------------------------------------------------------------------------------------


@pytest.fixture
async def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
async def relay(tmp_path: Path, clock: FakeClock) -> AsyncIterator[InProcessRelay]:
    async with serve_relay(tmp_path, clock=clock) as relay:
        yield relay


@pytest.fixture
def access(relay: InProcessRelay, tmp_path: Path) -> AccessControl:
    return AccessControl(relay.server, tmp_path / "bans.json")


async def test_a_banned_address_is_disconnected_and_refused_before_the_handshake(
    relay: InProcessRelay, access: AccessControl, clock: FakeClock
) -> None:
    async with relay.client() as client:
        done = await access.ban("127.0.0.0/8", 60)
        await client.wait_closed()
    assert (done.target, done.until) == ("127.0.0.0/8", "2026-11-22T12:01:00Z")
    assert len(done.disconnected) == 1
    await relay.wait_until_no_clients()

    with pytest.raises((asyncssh.Error, OSError)):
        async with relay.client():
            pass
    assert relay.server.status().refusals.recent[-1].reason == "the address is banned"
    assert relay.server.status().waiting == 0
    assert [ban.target for ban in relay.server.status().bans] == ["127.0.0.0/8"]

    clock.now += 60
    async with relay.client():
        assert relay.server.status().bans == []


async def test_a_ban_of_an_authority_keeps_its_certificates_out(
    relay: InProcessRelay, access: AccessControl
) -> None:
    authority, key = new_key(), new_key()
    relay.authorize(authority, "cert-authority")
    certificate = authority.generate_user_certificate(key, "id", principals=["box"])
    async with relay.client((key, certificate)) as client, relay.client() as other:  # type: ignore[arg-type]
        await access.ban(authority.get_fingerprint(), None)
        await client.wait_closed()
        assert not other.is_closed()
        with pytest.raises(asyncssh.PermissionDenied):
            async with relay.client((key, certificate)):  # type: ignore[arg-type]
                pass


async def test_a_ban_that_cannot_be_saved_is_in_force_and_says_so(
    relay: InProcessRelay, access: AccessControl
) -> None:
    access.path.mkdir()
    (access.path / "occupied").touch()

    done = await access.ban(relay.key.get_fingerprint(), None)

    assert done.problem is not None
    assert done.problem.startswith(f"cannot write {access.path}: ")
    with pytest.raises(asyncssh.PermissionDenied):
        async with relay.client():
            pass


async def test_kick_finds_clients_by_user_and_by_key(
    relay: InProcessRelay, access: AccessControl
) -> None:
    other = new_key()
    relay.authorize(other)
    async with (
        relay.client(user="ann") as ann,
        relay.client(user="bob") as bob,
        relay.client(other, user="eve") as eve,
    ):
        assert len(access.kick("ann").disconnected) == 1
        await ann.wait_closed()
        assert not bob.is_closed()
        assert len(access.kick(relay.key.get_fingerprint()).disconnected) == 1
        await bob.wait_closed()
        assert not eve.is_closed()
        for target in ("", "Eve", "127.0.0.1", FINGERPRINT):
            with pytest.raises(NotFoundError, match="no client is connected"):
                access.kick(target)


async def test_unban_needs_the_target_that_was_banned(
    relay: InProcessRelay, access: AccessControl, clock: FakeClock
) -> None:
    del relay
    await access.ban("192.0.2.0/24", 60)
    with pytest.raises(NotFoundError, match=r"192\.0\.2\.7 is not banned"):
        await access.unban("192.0.2.7")
    assert (await access.unban("192.0.2.9/24")).target == "192.0.2.0/24"
    with pytest.raises(RequestFailedError, match="expected an address"):
        await access.unban("box")
    with pytest.raises(RequestFailedError, match="expected an address"):
        await access.ban("box", None)
    await access.ban("192.0.2.0/24", 60)
    clock.now += 60
    with pytest.raises(NotFoundError):
        await access.unban("192.0.2.0/24")
