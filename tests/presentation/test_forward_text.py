"""The status line of `forward`, and the marks of ad-hoc tunnels."""

from __future__ import annotations

from datetime import datetime

import pytest

from tests.control.fakes import REFUSED, a_forward, a_tunnel
from tunnelkeeper.core.snapshot import FailureSnapshot, ProgressSnapshot, TunnelSnapshot
from tunnelkeeper.presentation.forward_text import format_ad_hoc, forward_lines, status_line

NOW = datetime.fromisoformat("2026-11-22T12:03:12Z")
LOGIN = ProgressSnapshot("me@relay:22", "login")
DENIED = FailureSnapshot("auth", "me@relay:22", "permission denied", "", REFUSED.at)


@pytest.mark.parametrize(
    ("tunnel", "has_been_up", "line"),
    [
        (
            a_tunnel(bytes_in=1234, bytes_out=340, connections=2),
            True,
            "up 3m 12s | 127.0.0.1:5432 | in 1.2 kB, out 340 B | 2 clients",
        ),
        (
            a_tunnel(connections=1, ends_at="2026-11-22T14:03:12Z"),
            True,
            "up 3m 12s | 127.0.0.1:5432 | in 0 B, out 0 B | 1 client | ends in 2h",
        ),
        (
            a_tunnel(state="backoff", failure=REFUSED, retry_at="2026-11-22T12:03:16Z"),
            True,
            "reconnecting: refused, next try in 4s | 127.0.0.1:5432",
        ),
        (
            a_tunnel(state="backoff", failure=REFUSED, retry_at="2026-11-22T12:03:16Z"),
            False,
            "connecting: refused, next try in 4s | 127.0.0.1:5432",
        ),
        (
            a_tunnel(state="connecting", progress=LOGIN),
            False,
            "connecting: login | 127.0.0.1:5432",
        ),
        (
            a_tunnel(state="connecting", failure=REFUSED, progress=LOGIN),
            True,
            "reconnecting: refused: login | 127.0.0.1:5432",
        ),
        (
            a_tunnel(state="blocked", failure=DENIED, retry_at="2026-11-22T12:08:12Z"),
            True,
            "blocked: auth, next try in 5m | 127.0.0.1:5432",
        ),
        (
            a_tunnel(forwards=[a_forward(), a_forward(kind="remote", listen="localhost:2222")]),
            True,
            "up 3m 12s | 127.0.0.1:5432 +1 | in 0 B, out 0 B | 0 clients",
        ),
        (
            a_tunnel(forwards=[a_forward(kind="remote", listen="localhost:2222")]),
            True,
            "up 3m 12s | localhost:2222 there | in 0 B, out 0 B | 0 clients",
        ),
    ],
)
def test_the_status_line_says_what_the_tunnel_does(
    tunnel: TunnelSnapshot, has_been_up: bool, line: str
) -> None:
    assert status_line(tunnel, NOW, has_been_up=has_been_up) == line


def test_each_forward_is_listed_with_its_target() -> None:
    forwards = [
        a_forward(),
        a_forward(kind="socks", listen="127.0.0.1:1080", connect=None),
        a_forward(kind="remote", listen="localhost:2222", connect="localhost:22"),
    ]

    assert forward_lines(a_tunnel(forwards=forwards)) == [
        "127.0.0.1:5432 -> db.internal:5432",
        "127.0.0.1:1080 -> any target (SOCKS)",
        "on the server, localhost:2222 -> localhost:22",
    ]


def test_text_of_other_machines_is_made_printable() -> None:
    tunnel = a_tunnel(forwards=[a_forward(listen="/tmp/\x1b[31m")])

    assert "\x1b" not in status_line(tunnel, NOW, has_been_up=True)
    assert "\x1b" not in forward_lines(tunnel)[0]


def test_ad_hoc_tunnels_are_marked_with_their_end() -> None:
    assert format_ad_hoc(a_tunnel(), NOW) == ""
    assert format_ad_hoc(a_tunnel(ad_hoc=True), NOW) == "ad-hoc"
    ending = a_tunnel(ad_hoc=True, ends_at="2026-11-22T12:03:42Z")
    assert format_ad_hoc(ending, NOW) == "ad-hoc, ends in 30s"
