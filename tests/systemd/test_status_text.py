from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.control.fakes import a_tunnel
from tunnelkeeper.core.snapshot import FailureSnapshot, TunnelSnapshot
from tunnelkeeper.systemd.status_text import STATUS_LIMIT, has_been_tried, is_ready, status_line

REFUSED = FailureSnapshot("refused", "me@relay:22", "connection refused", "", "")
DENIED = FailureSnapshot("auth", "me@relay:22", "no key was accepted", "", "")


def away(name: str, state: str = "backoff", failure: FailureSnapshot = REFUSED) -> TunnelSnapshot:
    return a_tunnel(name, state, failure=failure)


def ready(asked: str, *tunnels: TunnelSnapshot, tried: tuple[str, ...] = ()) -> bool:
    by_name = {tunnel.name: tunnel for tunnel in tunnels}
    return is_ready("up" if asked == "up" else "tried", ["db", "web"], by_name, tried)


def test_it_counts_what_is_up_of_what_is_wanted() -> None:
    tunnels = [a_tunnel("a"), a_tunnel("b"), a_tunnel("c", "stopped", wanted=False)]

    assert status_line(tunnels) == "2 of 2 up"


def test_it_says_why_a_tunnel_is_not_up_and_whom_a_person_must_help_first() -> None:
    tunnels = [away("web"), away("db", "blocked", DENIED), a_tunnel("a")]

    assert status_line(tunnels) == (
        "1 of 3 up; db: auth: no key was accepted; web: refused: connection refused"
    )


def test_a_tunnel_on_its_way_is_named_with_its_state() -> None:
    assert status_line([a_tunnel("db", "connecting")]) == "0 of 1 up; db: connecting"


def test_of_many_it_names_a_few() -> None:
    line = status_line([a_tunnel(f"t{i}", "connecting") for i in range(1000)])

    assert line.startswith("0 of 1000 up; t0: connecting; ")
    assert line.endswith("; 997 more")


def test_without_a_wanted_tunnel_it_says_so() -> None:
    assert status_line([a_tunnel("db", "stopped", wanted=False)]) == "no tunnel is wanted"


@given(st.lists(st.text()))
def test_whatever_a_server_says_it_is_one_short_printable_line(messages: list[str]) -> None:
    line = status_line(
        [away("t", failure=FailureSnapshot("lost", "h", text, "", "")) for text in messages]
    )

    assert line.isprintable()
    assert len(line) <= STATUS_LIMIT


def test_ready_is_when_each_was_tried() -> None:
    tunnels = away("db"), a_tunnel("web", "connecting")

    assert not ready("tried", *tunnels, tried=("db",))
    assert ready("tried", *tunnels, tried=("db", "web"))


def test_ready_can_be_when_all_are_up() -> None:
    assert not ready("up", a_tunnel("db"), away("web"), tried=("db", "web"))
    assert ready("up", a_tunnel("db"), a_tunnel("web"))


@pytest.mark.parametrize("asked", ["tried", "up"])
def test_a_tunnel_that_was_taken_away_or_stopped_is_not_waited_for(asked: str) -> None:
    stopped = a_tunnel("web", "stopped", wanted=False)

    assert ready(asked, a_tunnel("db"), tried=("db",))
    assert ready(asked, a_tunnel("db"), stopped, tried=("db", "web"))
    assert not ready(asked, a_tunnel("db"), stopped, tried=("db",))  # its start is still to come


def test_the_first_attempt_is_a_beginning_and_what_follows_is_more() -> None:
    assert not has_been_tried(a_tunnel("db", "connecting", attempt=1))
    assert has_been_tried(a_tunnel("db", "connecting", attempt=2))
    assert has_been_tried(a_tunnel("db", "blocked"))
