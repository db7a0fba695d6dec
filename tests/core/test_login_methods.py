"""The order of the login methods, as ssh has it."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from tunnelkeeper.core.configuration import Host
from tunnelkeeper.core.login_methods import DEFAULT_ORDER, MethodOrder, allowed_methods

HOST = Host("h", "h", "me")
NAMES = st.sampled_from([*DEFAULT_ORDER, "gssapi-with-mic", "hostbased"])


def test_the_settings_of_ssh_decide_which_methods_are_used_and_in_which_order() -> None:
    assert allowed_methods(HOST) == DEFAULT_ORDER
    preferred = replace(HOST, preferred_authentications=("password", "hostbased", "publickey"))
    assert allowed_methods(preferred) == ("password", "publickey")
    assert allowed_methods(replace(preferred, password_authentication=False)) == ("publickey",)
    assert allowed_methods(replace(HOST, pubkey_authentication=False)) == DEFAULT_ORDER[1:]
    assert "keyboard-interactive" not in allowed_methods(
        replace(HOST, kbd_interactive_authentication=False)
    )


def test_a_method_is_repeated_until_it_has_nothing_left() -> None:
    order = MethodOrder()
    server = ("password", "publickey", "keyboard-interactive")
    assert [order.next(server), order.next(server)] == ["publickey", "publickey"]
    order.disable("publickey")
    assert order.next(server) == "keyboard-interactive"
    order.disable("keyboard-interactive")
    assert order.next(server) == "password"
    order.disable("password")
    assert order.next(server) == ""


def test_other_methods_of_the_server_start_the_order_again() -> None:
    order = MethodOrder()
    assert order.next(("keyboard-interactive",)) == "keyboard-interactive"
    assert order.next(("publickey",)) == "publickey"  # a code, then a key
    order.disable("publickey")
    assert order.next(("publickey", "password")) == "password"


@given(st.lists(st.tuples(st.lists(NAMES, max_size=4), st.booleans()), max_size=30))
def test_a_method_that_ended_never_returns_and_only_allowed_ones_are_used(
    replies: list[tuple[list[str], bool]],
) -> None:
    order = MethodOrder(DEFAULT_ORDER)
    disabled: set[str] = set()
    for supported, has_more in replies:
        name = order.next(supported)
        assert name in {*supported, ""} - disabled
        expected = [m for m in DEFAULT_ORDER if m in supported and m not in disabled]
        assert bool(name) <= bool(expected)
        if name and not has_more:
            order.disable(name)
            disabled.add(name)
