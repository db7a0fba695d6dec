from __future__ import annotations

from datetime import UTC, datetime

import msgspec

from tests.control.fakes import NOON, REFUSED, a_forward, a_tunnel
from tunnelkeeper.core.snapshot import (
    ReplacementSnapshot,
    StatusSnapshot,
    SupervisorSnapshot,
    TunnelSnapshot,
)
from tunnelkeeper.presentation.status_report import render_report, render_screen

NOW = datetime(2026, 11, 22, 12, 3, 12, tzinfo=UTC)
LONG = msgspec.structs.replace(
    REFUSED,
    message="the key " + " ".join(f"/home/me/.ssh/id_{number}" for number in range(20)),
)
BACKOFF = a_tunnel("web", "backoff", failure=LONG, retry_at="2026-11-22T12:07:16Z")
MANY = [a_tunnel(f"db-{number:03}") for number in range(196)]
MANY[100:100] = [msgspec.structs.replace(BACKOFF, name=f"web-{number}") for number in range(4)]


def a_snapshot(*tunnels: TunnelSnapshot, config_changed: bool = False) -> StatusSnapshot:
    supervisor = SupervisorSnapshot("0.1.0", 1, "/etc/tunnels.toml", NOON, 1, 0.1, 9)
    return StatusSnapshot(
        msgspec.structs.replace(supervisor, config_changed=config_changed), list(tunnels)
    )


def report(cells: int | None, *tunnels: TunnelSnapshot) -> list[str]:
    lines = render_report(a_snapshot(*tunnels), NOW, cells)
    return ["".join(text for _, text in line) for line in lines]


def screen(cells: int, height: int, *tunnels: TunnelSnapshot) -> list[str]:
    lines = render_screen(a_snapshot(*tunnels), NOW, cells, height)
    return ["".join(text for _, text in line) for line in lines]


def test_messages_are_wrapped_for_a_terminal_and_whole_elsewhere() -> None:
    wrapped, whole = report(80, BACKOFF), report(None, BACKOFF)

    assert max(map(len, wrapped)) <= 80
    assert [line for line in whole if LONG.message in line]
    assert all(f"/home/me/.ssh/id_{number}" in "\n".join(wrapped) for number in range(20))


def test_a_forward_in_a_message_is_not_broken() -> None:
    forward = a_forward(state="failed", failure=REFUSED)
    tunnel = a_tunnel(state="degraded", forwards=[forward])

    for cells in range(40, 100):
        assert "L 5432 -> db.internal:5432:" in "\n".join(report(cells, tunnel))


def test_a_hint_has_lines_of_its_own_below_its_message() -> None:
    hint = "compare the fingerprint with that of the administrator, and remove the old line"
    tunnel = a_tunnel(state="blocked", failure=msgspec.structs.replace(REFUSED, hint=hint))
    below = report(50, tunnel)[report(50, tunnel).index("") + 1 :]

    assert below == [
        "db: blocked: refused: me@relay:22: Connection",
        "    refused",
        "  hint: compare the fingerprint with that of the",
        "        administrator, and remove the old line",
    ]
    assert report(None, tunnel)[-1] == f"  hint: {hint}"


def test_a_command_that_is_a_hint_is_not_broken() -> None:
    command = "ssh-keygen -f /home/me/.ssh/known_hosts -R relay.example.com"
    tunnel = a_tunnel(state="blocked", failure=msgspec.structs.replace(REFUSED, hint=command))

    assert [line for line in report(40, tunnel) if command in line]


def test_the_failure_of_a_replacement_has_its_own_state() -> None:
    replacement = ReplacementSnapshot("backoff", failure=REFUSED)
    lines = render_report(a_snapshot(a_tunnel(replacement=replacement)), NOW, 80)

    assert [line for line in lines if ("state.backoff", "not replaced") in line]


def test_the_name_and_the_state_in_a_message_have_their_styles() -> None:
    [line] = [
        line
        for line in render_report(a_snapshot(BACKOFF), NOW, 80)
        if line and line[0] == ("name", "web")
    ]

    assert ("state.backoff", "backoff") in line


def test_the_states_of_many_tunnels_are_counted_above_the_messages() -> None:
    lines = report(80, *MANY)
    count = lines.index("200 tunnels: 196 up, 4 backoff")

    assert lines[count - 1] == lines[count + 1] == ""
    assert [line.split(":")[0] for line in lines[count + 2 :] if line.startswith("web")] == [
        f"web-{number}" for number in range(4)
    ]
    assert not [line for line in report(80, *MANY[:3]) if "3 tunnels" in line]
    assert not [line for line in report(None, *MANY) if "200 tunnels" in line]


def test_a_report_that_fits_the_screen_is_shown_whole() -> None:
    assert screen(80, 24, a_tunnel()) == report(80, a_tunnel())


def test_a_screen_that_is_too_low_shows_what_is_wrong_first() -> None:
    lines = screen(80, 23, *MANY)
    shown = [line.split()[0] for line in lines if line.startswith(("db-", "web-"))]

    assert len(lines) <= 23
    assert {f"web-{number}" for number in range(4)} <= set(shown)
    assert "200 tunnels: 196 up, 4 backoff" in lines
    assert [line for line in lines if line.startswith("and ") and line.endswith(" more")]
    assert lines[-1].endswith("more lines")


def test_a_tiny_screen_is_not_exceeded() -> None:
    for height in range(1, 12):
        assert len(screen(40, height, *MANY)) <= height
