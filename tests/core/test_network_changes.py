"""Comparison of successive network snapshots."""

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
ELSEWHERE = Network(frozenset({"198.51.100.7"}), frozenset({"default via 198.51.100.1 dev wlan0"}))
EMPTY = Network(frozenset(), frozenset())
HOME_WITHOUT_ROUTES = Network(HOME.addresses, frozenset())
NEW_WITHOUT_ROUTES = Network(frozenset({"203.0.113.2"}), frozenset())

TEXTS = st.frozensets(st.sampled_from("abcd"), max_size=3)
NETWORKS = st.builds(Network, TEXTS, st.none() | TEXTS)


def changes(*networks: Network) -> list[Change]:
    """Return the changes between successive snapshots."""
    state, result = NetworkState(networks[0]), []
    for network in networks[1:]:
        state, change = compare(state, network)
        result.append(change)
    return result


def test_a_changed_address_or_route_is_a_change() -> None:
    assert changes(HOME, ELSEWHERE) == [Change.CHANGED]
    assert changes(HOME, replace(HOME, routes=ELSEWHERE.routes)) == [Change.CHANGED]


def test_an_equal_snapshot_is_no_change() -> None:
    assert changes(HOME, replace(HOME), replace(HOME)) == [Change.SAME, Change.SAME]


def test_a_changed_rule_or_unreachable_route_is_a_change() -> None:
    policies = frozenset({"rule 0: from all lookup local", "unreachable 10.0.0.0/8"})

    assert changes(HOME, replace(HOME, policies=policies), HOME) == [Change.CHANGED] * 2


def test_a_network_with_only_rules_and_unreachable_routes_is_lost() -> None:
    policies = frozenset({"rule 0: from all lookup local", "unreachable 10.0.0.0/8"})

    assert changes(HOME, replace(HOME_WITHOUT_ROUTES, policies=policies)) == [Change.LOST]


def test_a_change_of_a_lost_network_is_reported_as_such() -> None:
    with_rule = replace(HOME_WITHOUT_ROUTES, policies=frozenset({"unreachable 10.0.0.0/8"}))

    assert changes(HOME, HOME_WITHOUT_ROUTES, with_rule, with_rule, EMPTY) == [
        Change.LOST,
        Change.CHANGED_WHILE_LOST,
        Change.SAME,
        Change.CHANGED_WHILE_LOST,
    ]


def test_omitted_addresses_cause_no_change() -> None:
    temporary = replace(
        HOME, all_addresses=frozenset({"192.0.2.2", "2001:db8::dead:beef", "fe80::1"})
    )

    assert changes(HOME, temporary) == [Change.SAME]


def test_a_network_without_addresses_or_routes_is_lost() -> None:
    assert changes(HOME, EMPTY) == [Change.LOST]
    assert changes(HOME, HOME_WITHOUT_ROUTES) == [Change.LOST]


def test_a_lost_network_is_reported_once_and_is_back_with_a_route() -> None:
    assert changes(HOME, EMPTY, HOME_WITHOUT_ROUTES, EMPTY, HOME) == [
        Change.LOST,
        Change.CHANGED_WHILE_LOST,
        Change.CHANGED_WHILE_LOST,
        Change.BACK,
    ]
    assert changes(HOME, EMPTY, ELSEWHERE) == [Change.LOST, Change.BACK]


def test_a_new_address_without_routes_is_not_lost() -> None:
    assert changes(HOME, NEW_WITHOUT_ROUTES) == [Change.CHANGED]
    assert changes(HOME, EMPTY, NEW_WITHOUT_ROUTES) == [Change.LOST, Change.BACK]


def test_a_network_that_never_existed_is_not_lost() -> None:
    assert changes(EMPTY, EMPTY) == [Change.SAME]
    assert changes(EMPTY, HOME) == [Change.CHANGED]


def test_addresses_decide_if_routes_are_unknown() -> None:
    home, empty = replace(HOME, routes=None), Network(frozenset(), None)

    assert changes(home, empty, home) == [Change.LOST, Change.BACK]


@given(st.lists(NETWORKS, min_size=2, max_size=8))
def test_a_repeated_snapshot_is_never_a_change(networks: list[Network]) -> None:
    repeated = [snapshot for network in networks for snapshot in (network, network)]

    assert set(changes(*repeated)[::2]) == {Change.SAME}


@given(st.lists(NETWORKS, min_size=2, max_size=8))
def test_lost_and_back_alternate(networks: list[Network]) -> None:
    reported = [change for change in changes(*networks) if change in {Change.LOST, Change.BACK}]

    assert reported == [Change.LOST, Change.BACK] * (len(reported) // 2) + [Change.LOST] * (
        len(reported) % 2
    )


def test_the_difference_names_rules() -> None:
    rule = "rule 9: from all lookup 7"

    assert describe_difference(HOME, replace(HOME, policies=frozenset({rule}))) == f"+ {rule}"


def test_the_difference_names_added_and_removed_entries() -> None:
    assert describe_difference(HOME, replace(HOME, addresses=frozenset({"192.0.2.9"}))) == (
        "+ 192.0.2.9, - 192.0.2.2"
    )
    assert describe_difference(HOME, HOME) == ""


def test_a_long_difference_is_truncated() -> None:
    many = Network(frozenset(f"192.0.2.{n}" for n in range(9)))

    assert describe_difference(Network(frozenset()), many) == (
        "+ 192.0.2.0, + 192.0.2.1, + 192.0.2.2, + 192.0.2.3 and 5 more"
    )
