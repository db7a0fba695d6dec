"""Merging of options, the text of hosts, and backoff delays."""

from __future__ import annotations

from dataclasses import fields, replace
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from tunnelkeeper.core.configuration import Backoff, Host, HostOptions

STEADY = Backoff(initial=1, factor=2, max=60, jitter=0)
BACKOFFS = st.builds(
    Backoff,
    initial=st.floats(0.001, 3600),
    factor=st.floats(1, 100),
    max=st.floats(1, 86400),
    jitter=st.floats(0, 1),
)


def test_set_options_override_the_defaults() -> None:
    specific = HostOptions(user="me", compression=False, jump=())
    general = HostOptions(user="other", compression=True, jump=("gate",), port=(22, 443))

    assert specific.merged_over(general) == HostOptions(
        user="me", compression=False, jump=(), port=(22, 443)
    )


def test_unset_options_change_nothing() -> None:
    options = HostOptions(**{field.name: field.name for field in fields(HostOptions)})  # type: ignore[arg-type]

    assert options.merged_over(HostOptions()) == options
    assert HostOptions().merged_over(options) == options


def test_a_host_is_printed_as_user_at_host_and_port() -> None:
    assert str(Host("relay", "relay.example.com", "me", ports=(2222, 22))) == (
        "me@relay.example.com:2222"
    )
    assert str(Host("six", "2001:db8::1", "me")) == "me@[2001:db8::1]:22"


def test_delays_double_up_to_the_maximum() -> None:
    assert [STEADY.delay(n, "") for n in range(1, 9)] == [1, 2, 4, 8, 16, 32, 60, 60]


def test_a_cap_below_the_maximum_wins() -> None:
    assert [STEADY.delay(n, "", cap=5) for n in range(1, 6)] == [1, 2, 4, 5, 5]


@given(backoff=BACKOFFS, attempt=st.integers(1, 10**9), seed=st.text(), cap=st.floats(0.1, 100))
def test_a_delay_stays_between_its_bounds(
    backoff: Backoff, attempt: int, seed: str, cap: float
) -> None:
    ceiling = replace(backoff, jitter=0).delay(attempt, seed)
    wait = backoff.delay(attempt, seed)

    assert ceiling <= backoff.max
    assert ceiling * (1 - backoff.jitter) <= wait <= ceiling
    assert backoff.delay(attempt, seed, cap) <= cap


@given(backoff=BACKOFFS, attempt=st.integers(1, 100), seed=st.text())
def test_the_same_seed_gives_the_same_delays(backoff: Backoff, attempt: int, seed: str) -> None:
    assert backoff.delay(attempt, seed) == backoff.delay(attempt, seed)


def test_a_thousand_tunnels_spread_their_retries() -> None:
    waits = sorted(Backoff(max=60, jitter=0.5).delay(10, f"{n}") for n in range(1000))
    gaps = [later - earlier for earlier, later in pairwise(waits)]

    assert waits[0] < 31
    assert waits[-1] > 59
    assert max(gaps) < 1


def test_the_jitter_of_a_tunnel_differs_between_attempts() -> None:
    backoff = Backoff(initial=1, factor=1, max=1, jitter=1)

    assert len({backoff.delay(n, "db") for n in range(1, 100)}) == 99
