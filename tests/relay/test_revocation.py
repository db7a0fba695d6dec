"""Keys that are removed, revoked, restricted or expired: live connections and new logins."""

from __future__ import annotations

import asyncio
import logging
import os
import subprocess
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import asyncssh
import pytest

from tests.fake_clock import FakeClock
from tests.relay.authorized_keys_lines import line
from tests.relay.in_process_relay import USER, new_key, public, serve_relay
from tests.requirements import require
from tests.ssh.waiting import DEADLINE, until
from tunnelkeeper.relay import auth_session, authorized_keys, live_access, revoked_keys
from tunnelkeeper.relay.authorized_keys_store import AuthorizedKeysStore
from tunnelkeeper.relay.key_auth import Admitted, Denied, authorize, parse_key, reauthorize
from tunnelkeeper.relay.key_file import KeyFile
from tunnelkeeper.relay.live_access import MAX_SLEEP
from tunnelkeeper.relay.transport import ServerTransport

if TYPE_CHECKING:
    from pathlib import Path

    from tests.relay.in_process_relay import InProcessRelay

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
TEN_SECONDS_LATER = 'expiry-time="20261122120010Z"'
TWO_MINUTES_LATER = 'expiry-time="20261122120200Z"'


def write_keys(relay: InProcessRelay, *lines: str) -> None:
    relay.authorized_keys.write_text("".join(f"{line}\n" for line in lines))


async def lose(client: asyncssh.SSHClientConnection) -> None:
    """Wait until the relay has ended a connection."""
    async with asyncio.timeout(DEADLINE):
        await client.wait_closed()


async def check_refused(relay: InProcessRelay, key: asyncssh.SSHKey | None = None) -> None:
    with pytest.raises(asyncssh.PermissionDenied):
        async with relay.client(key):
            pass


def make_krl(folder: Path, entry: str, authority: asyncssh.SSHKey) -> Path:
    """Make a key revocation list. entry: see ssh-keygen(1), KEY REVOCATION LISTS."""
    krl, ca_file, specification = (folder / name for name in ("krl", "ca.pub", "specification"))
    ca_file.write_text(f"{public(authority)}\n")
    specification.write_text(entry.replace("CA", public(authority)) + "\n")
    command = [require("ssh-keygen"), "-kf", str(krl), "-s", str(ca_file), str(specification)]
    subprocess.run(command, check=True, capture_output=True)
    return krl


# -- removed ---------------------------------------------------------------------------------------


async def test_a_removed_key_loses_its_connection_its_port_and_its_login(
    relay: InProcessRelay, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "tunnelkeeper")
    other = new_key()
    relay.authorize(other)
    async with relay.client() as removed, relay.client(other) as kept:
        await removed.forward_remote_port("home", 22, "127.0.0.1", 9)
        write_keys(relay, public(other))

        changes = await relay.reload()

        await lose(removed)
        await until(lambda: [client.key for client in relay.clients] == [other.get_fingerprint()])
        assert relay.bound_targets == []
        await check_refused(relay)
        assert not kept.is_closed()
    [sentence] = [change for change in changes if change.startswith("disconnected")]
    assert sentence.startswith("disconnected box@127.0.0.1:")
    assert sentence.endswith(": this key is not authorized")
    assert "disconnecting box@127.0.0.1:" in caplog.text


async def test_a_missing_file_of_keys_ends_the_connections_of_its_user(
    relay: InProcessRelay,
) -> None:
    async with relay.client() as client:
        relay.authorized_keys.unlink()
        await relay.reload()
        await lose(client)


async def test_an_unreadable_file_of_keys_ends_no_connection(relay: InProcessRelay) -> None:
    async with relay.client() as client:
        relay.authorized_keys.unlink()
        relay.authorized_keys.mkdir()

        changes = await relay.reload()

        assert f"the connections of {USER} stay: cannot read" in changes[-1]
        assert not client.is_closed()
        assert len(relay.clients) == 1


async def test_a_client_that_reads_nothing_is_disconnected_too(relay: InProcessRelay) -> None:
    async with relay.client() as client:
        transport = client._transport
        assert isinstance(transport, asyncio.Transport)
        transport.pause_reading()
        write_keys(relay)
        await relay.reload()
        await relay.wait_until_no_clients()
        transport.resume_reading()


async def test_a_login_during_the_reload_has_to_be_repeated(
    relay: InProcessRelay, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def reload_after_the_verdict(
        self: ServerTransport, username: str, key_data: bytes, msg: bytes, signature: bytes
    ) -> bool:
        is_valid = await validate(self, username, key_data, msg, signature)
        if msg:
            write_keys(relay)
            await relay.reload()
        return is_valid

    validate = ServerTransport.validate_public_key
    monkeypatch.setattr(ServerTransport, "validate_public_key", reload_after_the_verdict)
    async with relay.client() as client:
        await lose(client)
    assert relay.clients == []


async def test_a_reload_reports_a_bounded_number_of_connections(
    relay: InProcessRelay, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(live_access, "SENTENCES", 1)
    async with relay.client() as first, relay.client() as second, relay.client() as third:
        write_keys(relay)
        changes = await relay.reload()
        for client in (first, second, third):
            await lose(client)
    assert changes[-1] == "and 2 more, which are in the log"
    assert len(changes) == 3


# -- options ---------------------------------------------------------------------------------------


async def test_options_that_grant_more_apply_to_the_open_connection(
    relay: InProcessRelay,
) -> None:
    write_keys(relay, f'permitlisten="a:1" {public(relay.key)}')
    async with relay.client() as client:
        with pytest.raises(asyncssh.ChannelListenError):
            await client.forward_remote_port("b", 1, "127.0.0.1", 9)
        write_keys(relay, "", f'permitlisten="a:1",permitlisten="b:1" {public(relay.key)}')

        await relay.reload()

        await client.forward_remote_port("b", 1, "127.0.0.1", 9)
        assert relay.clients[0].line == f"{relay.authorized_keys}:2"


@pytest.mark.parametrize(
    ("before", "after", "stays"),
    [
        ("", "", True),
        ("", "restrict", False),
        ("restrict", "", True),
        ("", "no-touch-required", True),
        ("no-touch-required", "", False),
        ("", 'permitopen="a:1"', False),
        ('permitopen="a:1"', "", False),
        ('permitopen="a:1",permitopen="b:1"', 'permitopen="b:1",permitopen="a:1"', True),
        ('permitopen="a:1"', 'permitopen="b:1"', False),
        ('permitlisten="a:1",permitlisten="b:1"', 'permitlisten="a:1"', False),
        ('permitlisten="a:1"', "", False),
        ("restrict", 'restrict,permitopen="a:1"', True),
        ("", 'from="192.0.2.0/24"', True),
        ("", 'from="198.51.100.0/24"', False),
        ("", 'expiry-time="20261122115959Z"', False),
        ("", 'expiry-time="20261122120000Z"', True),
        ("", "cert-authority", False),
    ],
)
def test_a_key_that_is_granted_less_than_before_loses_its_connection(
    before: str, after: str, stays: bool
) -> None:
    def lines(options: str) -> KeyFile:
        found = KeyFile(line(options).encode(), "keys", UTC)
        assert not found.warnings()
        return found

    candidate = parse_key(next(iter(lines(""))).blob)
    assert candidate is not None
    admitted = authorize(candidate, USER, lines(before), "192.0.2.7", NOW)
    assert isinstance(admitted, Admitted)

    verdict = reauthorize(admitted, lines(after), "192.0.2.7", NOW)

    assert isinstance(verdict, Admitted if stays else Denied)


# -- expired ---------------------------------------------------------------------------------------


async def test_a_connection_ends_when_its_key_expires(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "tunnelkeeper")
    clock = FakeClock()
    async with serve_relay(tmp_path, clock=clock) as relay:
        later, forever = new_key(), new_key()
        write_keys(
            relay,
            f"{TEN_SECONDS_LATER} {public(relay.key)}",
            f"{TWO_MINUTES_LATER} {public(later)}",
            public(forever),
        )
        async with (
            relay.client(later) as second,
            relay.client() as first,
            relay.client(forever) as third,
        ):
            assert len(clock.timers) == 1
            await clock.advance(10)
            assert len(relay.clients) == 3
            await clock.advance(1)
            await lose(first)
            await until(lambda: len(relay.clients) == 2)
            await check_refused(relay)

            await clock.advance(120)
            await lose(second)
            assert clock.timers == []
            assert not third.is_closed()
    assert f"the key expired ({relay.authorized_keys}:1)" in caplog.text


async def test_a_key_expires_although_the_clock_was_set_meanwhile(tmp_path: Path) -> None:
    clock = FakeClock()
    async with serve_relay(tmp_path, clock=clock) as relay:
        write_keys(relay, f'expiry-time="20261123Z" {public(relay.key)}')
        async with relay.client() as client:
            clock.wall_offset = 86400
            await clock.advance(MAX_SLEEP)
            await lose(client)


async def test_a_reload_moves_the_expiry(tmp_path: Path) -> None:
    clock = FakeClock()
    async with serve_relay(tmp_path, clock=clock) as relay:
        write_keys(relay, f"{TWO_MINUTES_LATER} {public(relay.key)}")
        async with relay.client() as client:
            write_keys(relay, f"{TEN_SECONDS_LATER} {public(relay.key)}")
            await relay.reload()
            await clock.advance(11)
            await lose(client)


async def test_a_connection_ends_when_its_certificate_expires(tmp_path: Path) -> None:
    clock = FakeClock(wall_offset=(datetime.now(UTC) - NOW).total_seconds())
    async with serve_relay(tmp_path, clock=clock) as relay:
        key, other = new_key(), new_key()
        authority = new_key()
        write_keys(relay, f"cert-authority {public(authority)}")
        soon = authority.generate_user_certificate(
            key, "soon", principals=[USER], valid_before="+1h"
        )
        never = authority.generate_user_certificate(other, "never", principals=[USER])
        async with (
            relay.client((key, soon)) as first,  # type: ignore[arg-type]
            relay.client((other, never)) as second,  # type: ignore[arg-type]
        ):
            await clock.advance(3590)
            assert len(relay.clients) == 2
            await clock.advance(20)
            await lose(first)
            assert not second.is_closed()


# -- revoked_keys ----------------------------------------------------------------------------------


async def test_a_revoked_key_loses_its_connection_at_the_reload(tmp_path: Path) -> None:
    revoked = tmp_path / "revoked"
    revoked.write_text("# none yet\n")
    async with serve_relay(tmp_path, revoked_keys=str(revoked)) as relay:
        other = new_key()
        relay.authorize(other)
        async with relay.client() as client, relay.client(other) as kept:
            revoked.write_text(f"{public(relay.key)} the one that was stolen\n")
            await check_refused(relay)  # at once
            assert len(relay.clients) == 2

            changes = await relay.reload()

            await lose(client)
            assert changes[-1].endswith(f": the key is revoked ({revoked})")
            assert not kept.is_closed()
            assert relay.server.status().refusals.recent[-1].reason == (
                f"the key is revoked ({revoked}) (attempts: 1)"
            )


@pytest.mark.parametrize("entry", ["serial: 7", "id: the device", "sha256: CA"])
async def test_certificates_are_revoked_by_a_key_revocation_list(
    tmp_path: Path, entry: str
) -> None:
    authority, key = new_key(), new_key()
    krl = make_krl(tmp_path, entry, authority)
    revoked, valid = (
        authority.generate_user_certificate(key, name, serial=serial, principals=[USER])
        for name, serial in (("the device", 7), ("another", 8))
    )
    async with serve_relay(tmp_path) as relay:
        write_keys(relay, f"cert-authority {public(authority)}")
        async with relay.client((key, revoked)) as client:  # type: ignore[arg-type]
            await relay.reload(revoked_keys=str(krl))
            await lose(client)
        with pytest.raises(asyncssh.PermissionDenied):
            async with relay.client((key, revoked)):  # type: ignore[arg-type]
                pass
        if not entry.startswith("sha256"):
            async with relay.client((key, valid)):  # type: ignore[arg-type]
                pass


@pytest.mark.parametrize("content", [None, b"nonsense\n", b"SSHKRL\n\0cut"])
async def test_no_key_can_log_in_while_the_list_cannot_be_read(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, content: bytes | None
) -> None:
    revoked = tmp_path / "revoked"
    async with serve_relay(tmp_path) as relay, relay.client() as client:
        if content is not None:
            revoked.write_bytes(content)

        changes = await relay.reload(revoked_keys=str(revoked))

        assert changes[-1].startswith("no key can log in, because revoked_keys cannot be read: ")
        assert not client.is_closed()  # the list revokes nothing
        await check_refused(relay)
        await check_refused(relay)
        logged = [
            record for record in caplog.records if "cannot read revoked_keys" in record.message
        ]
        assert len(logged) == 1
        [problem] = revoked_keys.find_problems(str(revoked))
        assert str(problem).startswith(f"{revoked}: ")
        assert str(problem).endswith("; no key can log in")

        revoked.write_text("")
        async with relay.client():
            pass
        assert revoked_keys.find_problems(str(revoked)) == []


# -- the cache -------------------------------------------------------------------------------------


def test_a_file_that_was_written_in_place_with_the_same_time_and_size_counts(
    tmp_path: Path,
) -> None:
    path = tmp_path / "keys"
    path.write_text(line(seed=1))
    before = path.stat()
    store = AuthorizedKeysStore(str(path))
    store.keys_for_blocking(USER)

    path.write_text(line(seed=2))
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))

    expected = authorized_keys.parse(line(seed=2), "")[0]
    assert [key.blob for key in store.keys_for_blocking(USER)] == [key.blob for key in expected]


async def test_an_offered_certificate_of_a_stranger_is_not_parsed(
    relay: InProcessRelay, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Parsing one with 15,000 addresses took a second, in which the relay served no one."""
    monkeypatch.setattr(auth_session, "parse_key", pytest.fail)
    stranger, key = new_key(), new_key()
    addresses = [f"192.0.2.{number % 250}" for number in range(3000)]
    certificate = stranger.generate_user_certificate(
        key, "an id", principals=[USER], source_address=addresses
    )
    await check_refused(relay, (key, certificate))  # type: ignore[arg-type]

    [refusal] = await until(lambda: relay.server.status().refusals.recent)
    assert refusal.reason.startswith("this key is not authorized")
