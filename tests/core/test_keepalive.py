"""Keepalives of a silent peer, with a fake clock."""

from __future__ import annotations

from math import inf

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tunnelkeeper.core.configuration import Keepalive
from tunnelkeeper.core.keepalive import (
    PROBE_NOW_TIMEOUT,
    KeepaliveState,
    Verdict,
    extend,
    on_timer,
    probe_now,
    start,
    tcp_user_timeout,
)

NOW = 1000.0
EVERY_15 = Keepalive(interval=15, count_max=3)


class Peer:
    """The keepalive state of a peer, a fake clock, and the probes sent."""

    def __init__(self, keepalive: Keepalive = EVERY_15) -> None:
        self.keepalive = keepalive
        self.now = self.last_received = NOW
        self.state = start(NOW, keepalive)
        self.probes: list[float] = []

    def receive(self, after: float = 0.0) -> None:
        self.now += after
        self.last_received = self.now

    def probe_now(self, after: float = 0.0) -> Verdict:
        self.now += after
        self.state, verdict = probe_now(self.state, self.now, self.last_received, self.keepalive)
        self.probes += [self.now] if verdict is Verdict.PROBE else []
        return verdict

    def on_due(self) -> Verdict:
        self.now = max(self.now, self.state.due_at)
        return self.on_timer()

    def on_timer(self) -> Verdict:
        self.state, verdict = on_timer(self.state, self.now, self.last_received, self.keepalive)
        self.probes += [self.now] if verdict is Verdict.PROBE else []
        return verdict


def test_a_silent_peer_is_dead_after_count_max_unanswered_probes() -> None:
    peer = Peer()

    assert [peer.on_due() for _ in range(4)] == [Verdict.PROBE] * 3 + [Verdict.DEAD]
    assert peer.probes == [NOW + 15, NOW + 30, NOW + 45]
    assert peer.now == NOW + 15 * (3 + 1)


def test_a_dead_peer_has_no_further_timer() -> None:
    peer = Peer(Keepalive(interval=15, count_max=0))

    assert peer.on_due() is Verdict.DEAD
    assert peer.state.due_at == inf


def test_a_peer_that_sends_data_is_not_probed() -> None:
    peer = Peer()
    peer.receive(after=10)

    assert peer.on_due() is Verdict.WAIT
    assert peer.state == KeepaliveState(NOW + 10 + 15)
    assert peer.on_due() is Verdict.PROBE
    assert peer.probes == [NOW + 25]


def test_an_answer_resets_the_count_of_unanswered_probes() -> None:
    peer = Peer()
    for _ in range(3):
        peer.on_due()
    peer.receive(after=14)

    assert peer.on_due() is Verdict.WAIT
    assert [peer.on_due() for _ in range(4)] == [Verdict.PROBE] * 3 + [Verdict.DEAD]
    assert peer.now == NOW + 45 + 14 + 15 * 4


def test_a_peer_that_answers_every_probe_is_never_dead() -> None:
    peer = Peer()
    for _ in range(10):
        assert peer.on_due() is Verdict.PROBE
        peer.receive(after=0.1)
        assert peer.on_due() is Verdict.WAIT

    assert peer.state.unanswered == 0


def test_an_early_timer_changes_nothing() -> None:
    peer = Peer()
    peer.on_due()
    before = peer.state
    peer.now += 14.9

    assert peer.on_timer() is Verdict.WAIT
    assert peer.state == before


def test_data_received_before_a_probe_does_not_answer_it() -> None:
    peer = Peer()
    peer.on_due()
    peer.last_received = peer.now

    assert peer.on_due() is Verdict.PROBE
    assert peer.state.unanswered == 2


def test_a_late_timer_sends_one_probe_and_counts_no_missed_ones() -> None:
    peer = Peer()
    peer.now += 3600

    assert peer.on_timer() is Verdict.PROBE
    assert peer.state == KeepaliveState(peer.now + 15, unanswered=1, probed_at=peer.now)


def test_an_interval_of_zero_disables_keepalives() -> None:
    peer = Peer(Keepalive(interval=0))
    assert peer.state.due_at == inf

    peer.now += 86400
    assert peer.on_timer() is Verdict.WAIT
    assert peer.state.due_at == inf


@pytest.mark.parametrize("count_max", [0, 1, 3, 10])
@given(interval=st.floats(0.1, 3600))
def test_a_silent_peer_is_dead_after_interval_times_count_max_plus_one(
    count_max: int, interval: float
) -> None:
    peer = Peer(Keepalive(interval, count_max))
    while peer.on_due() is not Verdict.DEAD:
        assert len(peer.probes) <= count_max

    assert peer.now - NOW == pytest.approx(interval * (count_max + 1))


# -- immediate probes ------------------------------------------------------------------------------

EVERY_300 = Keepalive(interval=300, count_max=3)


@pytest.mark.parametrize("keepalive", [EVERY_15, EVERY_300, Keepalive(interval=0)])
def test_a_peer_probed_immediately_must_answer_soon(keepalive: Keepalive) -> None:
    peer = Peer(keepalive)

    assert peer.probe_now(after=7) is Verdict.PROBE
    assert peer.on_due() is Verdict.DEAD
    assert peer.now == NOW + 7 + PROBE_NOW_TIMEOUT
    assert peer.state.due_at == inf


@pytest.mark.parametrize("keepalive", [EVERY_15, EVERY_300])
def test_an_answer_in_time_returns_the_peer_to_the_regular_count(keepalive: Keepalive) -> None:
    peer = Peer(keepalive)
    peer.probe_now(after=7)
    peer.receive(after=4.9)

    assert peer.on_due() is Verdict.WAIT
    assert peer.state == KeepaliveState(NOW + 7 + 4.9 + keepalive.interval, 0, NOW + 7)
    assert [peer.on_due() for _ in range(4)] == [Verdict.PROBE] * 3 + [Verdict.DEAD]


def test_without_an_interval_an_answer_stops_the_timer() -> None:
    peer = Peer(Keepalive(interval=0))
    peer.probe_now(after=7)
    peer.receive(after=1)

    assert peer.on_due() is Verdict.WAIT
    assert peer.state.due_at == inf


def test_repeated_immediate_probes_do_not_extend_the_deadline() -> None:
    peer = Peer(EVERY_300)
    peer.probe_now()

    assert peer.probe_now(after=2) is Verdict.WAIT
    assert peer.probe_now(after=2) is Verdict.WAIT
    assert peer.on_due() is Verdict.DEAD
    assert peer.now == NOW + PROBE_NOW_TIMEOUT


def test_a_peer_that_answered_can_be_probed_again_before_the_timer() -> None:
    peer = Peer(EVERY_300)
    peer.probe_now()
    peer.receive(after=0.1)

    assert peer.probe_now(after=1) is Verdict.PROBE
    assert peer.on_due() is Verdict.DEAD
    assert peer.now == pytest.approx(NOW + 1.1 + PROBE_NOW_TIMEOUT)


def test_an_immediate_probe_does_not_count_as_a_regular_one() -> None:
    peer = Peer(Keepalive(interval=2, count_max=1))
    peer.probe_now()

    assert peer.on_due() is Verdict.PROBE
    assert peer.on_due() is Verdict.DEAD
    assert peer.probes == [NOW, NOW + 2]


@given(
    steps=st.lists(
        st.tuples(st.sampled_from(["waits", "receives", "probes"]), st.floats(0.01, 400))
    ),
    interval=st.sampled_from([0, 1, 15, 300]),
    count_max=st.integers(0, 4),
)
def test_an_immediate_probe_never_delays_the_detection_of_a_dead_peer(
    steps: list[tuple[str, float]], interval: float, count_max: int
) -> None:
    peer = Peer(Keepalive(interval, count_max))
    for step, seconds in steps:
        until, verdict = peer.now + seconds, Verdict.WAIT
        while peer.state.due_at <= until and verdict is not Verdict.DEAD:
            verdict = peer.on_due()
        if verdict is Verdict.DEAD:
            break
        peer.now = until
        if step == "receives":
            peer.receive()
        elif step == "probes":
            peer.probe_now()

        assert peer.state.due_at > peer.now or peer.state.due_at == inf
        if interval:
            limit = interval * (count_max + 1) + PROBE_NOW_TIMEOUT
            assert peer.now - peer.last_received < limit


@pytest.mark.parametrize("probed", [True, False], ids=["immediate probe", "regular probes"])
def test_extend_doubles_the_time_of_a_busy_peer_once(probed: bool) -> None:
    peer = Peer(EVERY_15)
    if probed:
        peer.probe_now()
    while peer.on_due() is not Verdict.DEAD:
        pass
    dead_since = peer.now
    peer.state = extend(peer.state, peer.now, EVERY_15)

    assert peer.on_due() is Verdict.DEAD
    assert peer.now == dead_since + (PROBE_NOW_TIMEOUT if probed else EVERY_15.interval)


def test_an_answer_of_a_busy_peer_resets_its_count() -> None:
    peer = Peer(EVERY_15)
    while peer.on_due() is not Verdict.DEAD:
        pass
    peer.state = extend(peer.state, peer.now, EVERY_15)
    peer.receive(after=1)

    assert peer.on_due() is Verdict.WAIT
    assert peer.state.unanswered == 0


def test_the_tcp_user_timeout_matches_the_keepalives() -> None:
    assert tcp_user_timeout(EVERY_15) == 60
    assert tcp_user_timeout(Keepalive(interval=0)) == 0
