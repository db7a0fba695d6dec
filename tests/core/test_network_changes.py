"""When a network is another one: pictures of it, compared."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from tunnelkeeper.core.network_changes import (
    Change,
    Network,
    NetworkState,
    compare,
    describe_difference,
)

HOME = Network(frozenset({"192.0.2.2"}), frozenset({"default via 192.0.2.1 dev wlan0"}))
ABROAD = Network(frozenset({"198.51.100.7"}), frozenset({"default via 198.51.100.1 dev wlan0"}))
NOWHERE = Network(frozenset(), frozenset())
CUT_OFF = Network(HOME.addresses, frozenset())
DIRECT = Network(frozenset({"203.0.113.2"}), frozenset())

TEXTS = st.frozensets(st.sampled_from("abcd"), max_size=3)
NETWORKS = st.builds(Network, TEXTS, st.none() | TEXTS)


def turns(*networks: Network) -> list[Change]:
    """Return the changes between successive snapshots."""
    standing, found = NetworkState(networks[0]), []
    for network in networks[1:]:
        standing, turn = compare(standing, network)
        found.append(turn)
    return found


def test_another_address_or_another_route_is_a_change() -> None:
    assert turns(HOME, ABROAD) == [Change.CHANGED]
    assert turns(HOME, replace(HOME, routes=ABROAD.routes)) == [Change.CHANGED]


def test_an_equal_snapshot_is_no_change() -> None:
    assert turns(HOME, replace(HOME), replace(HOME)) == [Change.SAME, Change.SAME]


def test_omitted_addresses_cause_no_change() -> None:
    temporary = replace(
        HOME, all_addresses=frozenset({"192.0.2.2", "2001:db8::dead:beef", "fe80::1"})
    )

    assert turns(HOME, temporary) == [Change.SAME]


def test_a_network_without_addresses_or_routes_is_lost() -> None:
    assert turns(HOME, NOWHERE) == [Change.LOST]
    assert turns(HOME, CUT_OFF) == [Change.LOST]


def test_a_lost_network_is_lost_once_and_back_when_it_leads_somewhere() -> None:
    assert turns(HOME, NOWHERE, CUT_OFF, NOWHERE, HOME) == [
        Change.LOST,
        Change.SAME,
        Change.SAME,
        Change.BACK,
    ]
    assert turns(HOME, NOWHERE, ABROAD) == [Change.LOST, Change.BACK]


def test_a_new_network_without_routes_is_not_lost() -> None:
    assert turns(HOME, DIRECT) == [Change.CHANGED]
    assert turns(HOME, NOWHERE, DIRECT) == [Change.LOST, Change.BACK]


def test_a_machine_that_never_had_a_network_waits_for_none() -> None:
    assert turns(NOWHERE, NOWHERE) == [Change.SAME]
    assert turns(NOWHERE, HOME) == [Change.CHANGED]


def test_addresses_decide_if_routes_are_unknown() -> None:
    home, nowhere = replace(HOME, routes=None), Network(frozenset(), None)

    assert turns(home, nowhere, home) == [Change.LOST, Change.BACK]


@given(st.lists(NETWORKS, min_size=2, max_size=8))
def test_a_repeat_is_never_a_change(networks: list[Network]) -> None:
    repeated = [each for network in networks for each in (network, network)]

    assert set(turns(*repeated)[::2]) == {Change.SAME}


@given(st.lists(NETWORKS, min_size=2, max_size=8))
def test_lost_and_back_alternate(networks: list[Network]) -> None:
    told = [turn for turn in turns(*networks) if turn in {Change.LOST, Change.BACK}]

    assert told == [Change.LOST, Change.BACK] * (len(told) // 2) + [Change.LOST] * (len(told) % 2)


def test_the_difference_names_added_and_removed_entries() -> None:
    assert describe_difference(HOME, replace(HOME, addresses=frozenset({"192.0.2.9"}))) == (
        "+ 192.0.2.9, - 192.0.2.2"
    )
    assert describe_difference(HOME, HOME) == ""


def test_of_much_that_changed_only_some_is_named() -> None:
    many = Network(frozenset(f"192.0.2.{n}" for n in range(9)))

    assert describe_difference(Network(frozenset()), many) == (
        "+ 192.0.2.0, + 192.0.2.1, + 192.0.2.2, + 192.0.2.3 and 5 more"
    )
