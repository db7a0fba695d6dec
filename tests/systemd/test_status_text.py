from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.control.fakes import a_tunnel
from tunnelkeeper.core.snapshot import FailureSnapshot, TunnelSnapshot
from tunnelkeeper.systemd.status_text import STATUS_LIMIT, has_been_tried, is_ready, status_line

REFUSED = FailureSnapshot("refused", "me@relay:22", "connection refused", "", "")
DENIED = FailureSnapshot("auth", "me@relay:22", "no key was accepted", "", "")


def failed_tunnel(
    name: str, state: str = "backoff", failure: FailureSnapshot = REFUSED
) -> TunnelSnapshot:
    return a_tunnel(name, state, failure=failure)


def ready(condition: str, *tunnels: TunnelSnapshot, tried: tuple[str, ...] = ()) -> bool:
    by_name = {tunnel.name: tunnel for tunnel in tunnels}
    return is_ready("up" if condition == "up" else "tried", ["db", "web"], by_name, tried)


def test_the_status_counts_wanted_tunnels_that_are_up() -> None:
    tunnels = [a_tunnel("a"), a_tunnel("b"), a_tunnel("c", "stopped", wanted=False)]

    assert status_line(tunnels) == "2 of 2 up"


def test_the_status_gives_reasons_and_lists_blocked_tunnels_first() -> None:
    tunnels = [failed_tunnel("web"), failed_tunnel("db", "blocked", DENIED), a_tunnel("a")]

    assert status_line(tunnels) == (
        "1 of 3 up; db: auth: no key was accepted; web: refused: connection refused"
    )


def test_a_connecting_tunnel_is_listed_with_its_state() -> None:
    assert status_line([a_tunnel("db", "connecting")]) == "0 of 1 up; db: connecting"


def test_only_a_few_of_many_tunnels_are_listed() -> None:
    line = status_line([a_tunnel(f"t{i}", "connecting") for i in range(1000)])

    assert line.startswith("0 of 1000 up; t0: connecting; ")
    assert line.endswith("; 997 more")


def test_without_wanted_tunnels_the_status_reports_it() -> None:
    assert status_line([a_tunnel("db", "stopped", wanted=False)]) == "no tunnel is wanted"


@given(st.lists(st.text()))
def test_the_status_is_one_short_printable_line(messages: list[str]) -> None:
    line = status_line(
        [
            failed_tunnel("t", failure=FailureSnapshot("lost", "h", text, "", ""))
            for text in messages
        ]
    )

    assert line.isprintable()
    assert len(line) <= STATUS_LIMIT


def test_ready_when_every_tunnel_was_tried() -> None:
    tunnels = failed_tunnel("db"), a_tunnel("web", "connecting")

    assert not ready("tried", *tunnels, tried=("db",))
    assert ready("tried", *tunnels, tried=("db", "web"))


def test_ready_when_all_tunnels_are_up() -> None:
    assert not ready("up", a_tunnel("db"), failed_tunnel("web"), tried=("db", "web"))
    assert ready("up", a_tunnel("db"), a_tunnel("web"))


@pytest.mark.parametrize("condition", ["tried", "up"])
def test_readiness_ignores_removed_and_stopped_tunnels(condition: str) -> None:
    stopped = a_tunnel("web", "stopped", wanted=False)

    assert ready(condition, a_tunnel("db"), tried=("db",))
    assert ready(condition, a_tunnel("db"), stopped, tried=("db", "web"))
    assert not ready(
        condition, a_tunnel("db"), stopped, tried=("db",)
    )  # web has not been started yet


def test_a_tunnel_counts_as_tried_after_its_first_attempt() -> None:
    assert not has_been_tried(a_tunnel("db", "connecting", attempt=1))
    assert has_been_tried(a_tunnel("db", "connecting", attempt=2))
    assert has_been_tried(a_tunnel("db", "blocked"))
