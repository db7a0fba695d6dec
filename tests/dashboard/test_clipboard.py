"""The key `y`: which address is copied, and how it reaches the terminal."""

from __future__ import annotations

from base64 import b64decode
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.control.fakes import a_forward, a_tunnel
from tests.dashboard.fake_terminal import running_dashboard
from tests.dashboard.sample_model import ControllerHarness
from tests.dashboard.test_app import running_supervisor
from tunnelkeeper.dashboard.clipboard import client_address, osc_52
from tunnelkeeper.dashboard.ui_state import CopyText

if TYPE_CHECKING:
    from pathlib import Path

THREE = a_tunnel(
    "three",
    forwards=[
        a_forward(),
        a_forward(kind="remote", listen="localhost:2222", connect="localhost:22"),
        a_forward(kind="socks", listen="127.0.0.1:1080", connect=None),
    ],
)


@pytest.mark.parametrize(
    ("kind", "listen", "expected"),
    [
        ("local", "127.0.0.1:5432", "127.0.0.1:5432"),
        ("local", "[::1]:5432", "[::1]:5432"),
        ("local", "*:5432", "localhost:5432"),
        ("socks", "0.0.0.0:1080", "localhost:1080"),
        ("local", "[::]:5432", "localhost:5432"),
        ("remote", "localhost:2222", "localhost:2222"),
        ("remote", "*:2222", "relay:2222"),
        ("remote", "localhost:0", None),
        ("remote", "box17:80", "box17:80"),
        ("local", "/run/db.sock", "/run/db.sock"),
        ("local", "[/run/a:b]", "/run/a:b"),
        ("local", "[/run/a:0]", "/run/a:0"),
        ("local", "x\x1b\n:1", "x\\x1b\\n:1"),
    ],
)
def test_the_address_is_the_one_that_clients_connect_to(
    kind: str, listen: str, expected: str | None
) -> None:
    assert client_address(a_forward(kind=kind, listen=listen), a_tunnel()) == expected


@given(st.text())
def test_no_text_ends_the_sequence_early(text: str) -> None:
    text = text.encode(errors="replace").decode()
    sequence = osc_52(text)

    assert sequence.startswith("\x1b]52;c;")
    assert sequence.endswith("\a")
    assert b64decode(sequence[7:-1], validate=True).decode() == text


def test_y_copies_the_next_forward_when_it_is_pressed_again() -> None:
    harness = ControllerHarness(THREE)
    shown = []
    for _ in range(4):
        harness.controller.clear_message()
        harness.controller.copy_address()
        shown.append(harness.lines()[-1].strip())

    addresses = ["127.0.0.1:5432", "localhost:2222", "127.0.0.1:1080", "127.0.0.1:5432"]
    assert harness.actions == [CopyText(address) for address in addresses]
    assert shown[:3] == [
        "copied 127.0.0.1:5432, which leads to db.internal:5432  y again: forward 2 of 3",
        "copied localhost:2222 at relay, which leads to localhost:22  y again: forward 3 of 3",
        "copied 127.0.0.1:1080, a SOCKS proxy  y again: forward 1 of 3",
    ]


def test_the_first_forward_is_next_after_the_cursor_has_moved() -> None:
    harness = ControllerHarness(THREE, a_tunnel("other"))
    harness.controller.copy_address()
    harness.controller.move(1)
    harness.controller.move(-1)
    harness.controller.copy_address()

    assert harness.actions == [CopyText("127.0.0.1:5432")] * 2


@pytest.mark.parametrize(
    ("forwards", "message"),
    [
        ([], "db has no forward"),
        ([a_forward(kind="remote", listen="localhost:0")], "the port of R 0 -> db.internal:5432"),
    ],
)
def test_without_an_address_nothing_is_copied(forwards: list[object], message: str) -> None:
    harness = ControllerHarness(a_tunnel("db", forwards=forwards))
    harness.controller.copy_address()

    assert harness.actions == []
    assert message in harness.lines()[-1]


def test_a_folded_group_has_no_address() -> None:
    harness = ControllerHarness()
    harness.controller.toggle_fold()
    harness.controller.copy_address()

    assert harness.actions == []
    assert "work is a folded group  Space unfolds it" in harness.lines()[-1]


async def test_the_terminal_gets_the_sequence(tmp_path: Path) -> None:
    path = tmp_path / "run" / "control.sock"
    async with running_supervisor(path), running_dashboard(path) as terminal:
        await terminal.wait_for("stuck", "following")
        terminal.press("y")
        await terminal.wait_for("copied 127.0.0.1:5432, which leads to db.internal:5432")

        assert osc_52("127.0.0.1:5432") in terminal.output.getvalue()
