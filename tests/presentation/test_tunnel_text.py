from __future__ import annotations

from datetime import UTC, datetime

import msgspec
import pytest

from tests.control.fakes import REFUSED, a_forward, a_tunnel
from tunnelkeeper.core.snapshot import (
    ClientFailureSnapshot,
    HopSnapshot,
    ProgressSnapshot,
    ReplacementSnapshot,
    TunnelSnapshot,
)
from tunnelkeeper.presentation.tunnel_text import (
    client_failure_lines,
    describe,
    failure_texts,
    format_forward,
    format_host_chain,
    keepalive_lines,
    short_reason,
)

NOW = datetime(2026, 11, 22, 12, 3, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("kind", "listen", "connect", "text"),
    [
        ("local", "127.0.0.1:5432", "db:5432", "L 5432 -> db:5432"),
        ("local", "[::1]:5432", "[2001:db8::1]:80", "L 5432 -> [2001:db8::1]:80"),
        ("local", "*:80", "web:80", "L *:80 -> web:80"),
        ("local", "/run/db.sock", "/run/pg.sock", "L /run/db.sock -> /run/pg.sock"),
        ("remote", "localhost:2222", "localhost:22", "R 2222 -> localhost:22"),
        ("remote", "localhost:1080", None, "R 1080 (socks)"),
        ("socks", "localhost:1080", None, "S 1080"),
    ],
)
def test_a_forward_has_a_short_form(kind: str, listen: str, connect: str | None, text: str) -> None:
    assert format_forward(a_forward(kind=kind, listen=listen, connect=connect)) == text


def reasons(tunnel: TunnelSnapshot) -> list[str]:
    return [line for each in failure_texts(tunnel) for line in each.message.lines]


def shown(tunnel: TunnelSnapshot) -> list[str]:
    return [line for message in describe(tunnel) for line in message.lines]


def test_a_connecting_tunnel_is_described_by_its_step() -> None:
    progress = ProgressSnapshot("me@relay:22", "login")
    tunnel = a_tunnel(state="connecting", progress=progress)

    assert shown(tunnel) == ["db: connecting: me@relay:22: login"]


def test_a_login_that_waits_for_its_user_is_described_by_what_it_waits_for() -> None:
    progress = ProgressSnapshot("me@relay:22", "login", "waiting for a touch")
    tunnel = a_tunnel(state="connecting", progress=progress)

    assert shown(tunnel) == ["db: connecting: me@relay:22: login: waiting for a touch"]


def test_the_failure_of_a_replacement_is_shown_in_full() -> None:
    tunnel = a_tunnel(replacement=ReplacementSnapshot("backoff", failure=REFUSED))

    reason, _ = reasons(tunnel)
    assert reason.startswith(f"db: not replaced: {REFUSED.cause}: {REFUSED.hop}: {REFUSED.message}")


def test_the_failure_of_a_forward_is_shown_for_the_tunnel() -> None:
    busy = msgspec.structs.replace(REFUSED, cause="remote_port_busy", message="taken", hint="")
    forward = a_forward(
        kind="remote", listen="localhost:2222", connect="localhost:22", state="failed", failure=busy
    )
    tunnel = a_tunnel(state="degraded", forwards=[forward])

    assert short_reason(tunnel, NOW) == "remote_port_busy"
    assert reasons(tunnel) == ["db: degraded: remote_port_busy: R 2222 -> localhost:22: taken"]


def test_the_reason_is_shown_in_full_with_the_hint() -> None:
    tunnel = a_tunnel(state="backoff", failure=REFUSED)

    assert reasons(tunnel) == [
        "db: backoff: refused: me@relay:22: Connection refused",
        "  hint: is sshd running?",
    ]


def test_a_long_reason_is_not_truncated() -> None:
    failure = msgspec.structs.replace(REFUSED, message="x" * 300, hint="y" * 1000)

    assert reasons(a_tunnel(state="blocked", failure=failure))[1] == "  hint: " + "y" * 1000


def test_a_tunnel_that_is_up_has_no_failure_and_a_stopped_one_is_described() -> None:
    assert reasons(a_tunnel()) == []
    assert shown(a_tunnel(state="stopped")) == ["db: stopped"]


def test_a_server_that_ignores_keepalives_has_a_line_while_it_is_connected() -> None:
    hops = [
        HopSnapshot("me@gate:22", connected=True, answers_keepalives=True),
        HopSnapshot("me@relay:22", connected=True, answers_keepalives=False),
        HopSnapshot("me@gone:22", connected=False, answers_keepalives=False),
        HopSnapshot("me@new:22", connected=True),
    ]

    assert keepalive_lines(a_tunnel(hops=hops)) == [
        "db: me@relay:22 does not answer keepalives; it is probed otherwise"
    ]


def test_control_characters_from_other_machines_are_escaped() -> None:
    evil = msgspec.structs.replace(REFUSED, message="\x1b[2J\nfake: up", hop="")
    evil = msgspec.structs.replace(evil, hint="is sshd running?\x1b[m")
    tunnel = a_tunnel(
        state="backoff", failure=evil, host="\x1b]0;x\a", forwards=[a_forward(connect="\u202eevil")]
    )

    assert reasons(tunnel) == [
        "db: backoff: refused: \\x1b[2J\\nfake: up",
        "  hint: is sshd running?\\x1b[m",
    ]
    assert format_host_chain(tunnel).isprintable()
    assert format_forward(tunnel.forwards[0]).isprintable()


@pytest.mark.parametrize(("count", "clients"), [(1, "the last client"), (3, "the last 3 clients")])
def test_clients_that_failed_have_a_line_with_their_number_and_the_time(
    count: int, clients: str
) -> None:
    failure = ClientFailureSnapshot("db:5432: connect failed", "2026-11-22T12:03:07Z", count)
    tunnel = a_tunnel(forwards=[a_forward(client_failure=failure), a_forward()])

    assert client_failure_lines(tunnel, NOW) == [
        f"db: L 5432 -> db.internal:5432: {clients} failed, 5s ago: db:5432: connect failed"
    ]
    assert short_reason(tunnel, NOW) == f"{count} client{'s' if count > 1 else ''} failed"


def test_clients_that_failed_before_one_was_served_have_no_line() -> None:
    failure = ClientFailureSnapshot("db:5432: connect failed", "2026-11-22T12:03:07Z", 3, True)
    tunnel = a_tunnel(forwards=[a_forward(client_failure=failure)])

    assert client_failure_lines(tunnel, NOW) == []
    assert short_reason(tunnel, NOW) == ""


def test_a_stopped_tunnel_has_no_line_about_clients() -> None:
    failure = ClientFailureSnapshot("db:5432: connect failed", "2026-11-22T12:03:07Z", 3)
    tunnel = a_tunnel(state="stopped", forwards=[a_forward(client_failure=failure)])

    assert client_failure_lines(tunnel, NOW) == []
