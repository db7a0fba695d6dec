"""The text of `relay status`, and of the changes of a reload."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import msgspec

from tunnelkeeper.cli.relay_table import (
    BANS_SHOWN,
    ban_lines,
    client_row,
    heading,
    refusal_lines,
    render_relay,
)
from tunnelkeeper.core.forward_spec import TcpAddress
from tunnelkeeper.core.relay_snapshot import (
    BanSnapshot,
    BindingSnapshot,
    ClientSnapshot,
    DepartureSnapshot,
    RefusalSnapshot,
    RefusalsSnapshot,
    RelaySnapshot,
)
from tunnelkeeper.relay.config import RelayConfiguration, RelayLimits
from tunnelkeeper.relay.refusal_log import RECENT, RefusalKind, RefusalLog
from tunnelkeeper.relay.server import describe_changes

NOON = "2026-11-22T12:00:00Z"
LATER = datetime(2026, 11, 22, 15, 2, tzinfo=UTC)


def make_client(**changes: Any) -> ClientSnapshot:
    client = ClientSnapshot(
        user="box17",
        key="SHA256:x",
        line="authorized_keys:1",
        address="192.0.2.7:4711",
        version="SSH-2.0-OpenSSH_9.2",
        since=NOON,
        silent=1.5,
        rtt_ms=12.0,
        channels=2,
        bytes_in=1200,
        bytes_out=3_400_000,
        holds=[],
    )
    return msgspec.structs.replace(client, **changes)


def make_status(**changes: Any) -> RelaySnapshot:
    relay = RelaySnapshot(
        version="0.1.0",
        pid=1,
        config="relay.toml",
        started_at=NOON,
        listen=["0.0.0.0:2222", "[::]:2222"],
        host_keys=["SHA256:x"],
        waiting=0,
        clients=[make_client()],
        refusals=RefusalsSnapshot(0, 0, 0, 0, []),
    )
    return msgspec.structs.replace(relay, **changes)


def text(relay: RelaySnapshot, cells: int | None = None) -> str:
    lines = render_relay(relay, LATER, cells, utc=True)
    return "\n".join("".join(part for _, part in line) for line in lines)


def test_each_client_has_a_row() -> None:
    shown = client_row(make_client(), LATER)

    assert (shown.user, shown.address, shown.channels) == ("box17", "192.0.2.7:4711", "2")
    assert text(make_status(clients=[make_client()])).splitlines()[1:] == [
        "USER   ADDRESS         HOLDS  SINCE  CHANNELS  IN / OUT",
        "box17  192.0.2.7:4711         3h 2m  2         1.2 kB / 3.4 MB",
    ]


def test_each_binding_has_its_own_line() -> None:
    holds = [
        BindingSnapshot("port", "localhost:2222", NOON, 0, 7),
        BindingSnapshot("name", "home:22", NOON, 2, 2),
    ]

    assert client_row(make_client(holds=holds), LATER).holds == (
        "localhost:2222",
        "home:22 (2 connected)",
    )


def test_untrusted_text_is_made_printable() -> None:
    evil = "\x1b[31m\n"
    shown = client_row(
        make_client(user=evil, holds=[BindingSnapshot("name", evil, NOON, 0, 0)]), LATER
    )

    assert shown.user.isprintable()
    assert shown.holds[0].isprintable()


def test_the_heading_shows_addresses_and_number_of_clients() -> None:
    assert heading(make_status()) == "listening on 0.0.0.0:2222, [::]:2222; 1 connected"
    assert heading(make_status(waiting=3)).endswith("; 1 connected, 3 not logged in yet")


def test_refusals_are_counted_and_the_last_are_shown() -> None:
    recent = [
        RefusalSnapshot(NOON, "login", "192.0.2.9", "eve", f"reason {number}")
        for number in range(20)
    ]
    lines = refusal_lines(make_status(refusals=RefusalsSnapshot(1, 20, 0, 2, recent)))

    assert lines[0] == f"refused since {NOON}: 1 connection, 20 logins, 2 channels"
    assert len(lines) == 11
    assert lines[-1] == f"{NOON}  login       192.0.2.9 'eve': reason 19"


def test_without_refusals_no_line_is_printed() -> None:
    assert refusal_lines(make_status()) == []


def test_on_a_narrow_terminal_the_least_important_columns_are_dropped() -> None:
    holds = [BindingSnapshot("name", "home:22", NOON, 2, 2)]
    client = make_client(address="[2001:db8::17]:47110", holds=holds)
    relay = make_status(listen=["[::]:2222"], clients=[client])
    shown = {cells: text(relay, cells) for cells in range(90, 39, -1)}
    titles = [tuple(printed.splitlines()[1].split()) for printed in shown.values()]

    assert list(dict.fromkeys(titles)) == [
        ("USER", "ADDRESS", "HOLDS", "SINCE", "CHANNELS", "IN", "/", "OUT"),
        ("USER", "ADDRESS", "HOLDS", "SINCE", "CHANNELS"),
        ("USER", "ADDRESS", "HOLDS", "SINCE"),
        ("USER", "ADDRESS", "HOLDS"),
    ]
    assert all("[2001:db8::17]:47110" in printed for printed in shown.values())
    assert all(len(line) <= cells for cells in shown for line in shown[cells].splitlines())


def test_no_address_and_no_time_of_a_refusal_or_departure_is_broken() -> None:
    refusal = RefusalSnapshot(NOON, "login", "192.0.2.9", "eve", "no key of this user is accepted")
    left = DepartureSnapshot("name", "home:22", "box17", "SHA256:x", "192.0.2.7", NOON)
    relay = make_status(refusals=RefusalsSnapshot(0, 1, 0, 0, [refusal]), left=[left])
    shown = text(relay, 40)

    for token in ("192.0.2.9", NOON, "box17@192.0.2.7", "2026-11-22 12:00,", "3 h ago"):
        assert token in shown
    assert max(map(len, shown.splitlines())) <= 40


# -- refusal log -----------------------------------------------------------------------------------


def test_the_last_refusal_of_each_client_and_kind_is_kept() -> None:
    refusals = RefusalLog()
    for number in range(3 * RECENT):
        refusals.record(RefusalKind.LOGIN, "192.0.2.9", f"eve{number}", f"reason {number}")
    refusals.record(RefusalKind.OPEN, "192.0.2.9", "a\x1bb", "bad\nwords")
    snapshot = refusals.snapshot()

    assert (snapshot.logins, snapshot.opens, snapshot.listens) == (3 * RECENT, 1, 0)
    login, opened = snapshot.recent
    assert (login.reason, login.count) == (f"reason {3 * RECENT - 1}", 3 * RECENT)
    assert (opened.user, opened.reason, opened.count) == ("a\\x1bb", "bad\\nwords", 1)


def test_a_flood_displaces_no_refusal_of_another_kind_or_client() -> None:
    refusals = RefusalLog()
    refusals.record(RefusalKind.LOGIN, "192.0.2.1", "ann", "honest")
    for number in range(10_000):
        refusals.record(RefusalKind.LOGIN, "192.0.2.9", str(number), "flood")
        refusals.record(RefusalKind.CONNECTION, f"2001:db8::{number:x}", "", "flood")
        refusals.record(RefusalKind.CONNECTION, f"198.51.{number // 256}.{number % 256}", "", "x")
    recent = refusals.snapshot().recent

    assert "honest" in {refusal.reason for refusal in recent}
    assert len(recent) <= 4 * RECENT


# -- bans ------------------------------------------------------------------------------------------


def test_bans_have_a_line_each_and_the_newest_are_shown() -> None:
    two = [BanSnapshot("192.0.2.7", NOON, None), BanSnapshot("192.0.2.0/24", NOON, NOON)]
    many = [BanSnapshot(f"192.0.2.{n}", NOON, None) for n in range(BANS_SHOWN + 1)]

    assert ban_lines(make_status()) == []
    assert ban_lines(make_status(bans=two), utc=True) == [
        "banned: 2",
        "2026-11-22T12:00:00Z  192.0.2.7: no end",
        "2026-11-22T12:00:00Z  192.0.2.0/24: until 2026-11-22T12:00:00Z",
    ]
    lines = ban_lines(make_status(bans=many))
    assert lines[:2] == ["banned: 21", "the newest 20 of them; --json lists all"]
    assert len(lines) == BANS_SHOWN + 2


# -- reload ----------------------------------------------------------------------------------------


def test_every_changed_key_is_named() -> None:
    old = RelayConfiguration()
    new = replace(
        old,
        names=(),
        listen=(TcpAddress("0.0.0.0", 22),),
        limits=replace(RelayLimits(), penalties=False),
        path="elsewhere.toml",
    )

    assert describe_changes(old, new) == [
        "limits.penalties changed",
        "listen changed and takes effect after a restart",
        "names changed",
    ]
    assert describe_changes(old, old) == []
