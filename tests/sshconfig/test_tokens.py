import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tunnelkeeper.sshconfig import Facts
from tunnelkeeper.sshconfig.tokens import (
    PATH_TOKENS,
    PROXY_TOKENS,
    Destination,
    TokenError,
    expand,
    expand_home,
    expand_path,
    make_absolute,
    tokens_for,
)

RELAY = Destination("relay", "relay.example.com", 2222, "tunnel")


@pytest.mark.parametrize(
    ("token", "value"),
    [
        ("%%", "%"),
        ("%d", "/home/ann"),
        ("%h", "relay.example.com"),
        ("%i", "1000"),
        ("%j", ""),
        ("%k", "relay"),
        ("%L", "desk"),
        ("%l", "desk.example.org"),
        ("%n", "relay"),
        ("%p", "2222"),
        ("%r", "tunnel"),
        ("%u", "ann"),
    ],
)
def test_each_path_token_expands_as_in_the_man_page(token: str, value: str, facts: Facts) -> None:
    assert expand(f"<{token}>", tokens_for(RELAY, facts), PATH_TOKENS) == f"<{value}>"


def test_the_connection_hash_equals_that_of_ssh(facts: Facts) -> None:
    text = "desk.example.orgrelay.example.com2222tunnel"
    tokens = tokens_for(RELAY, facts)

    assert tokens["C"] == hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest()


def test_tokens_include_the_alias_and_the_jump_host(facts: Facts) -> None:
    behind_relay = Destination("db", "db", 22, "ann", host_key_alias="alias", jump="relay")
    tokens = tokens_for(behind_relay, facts)

    assert expand("%k by %j", tokens, PATH_TOKENS) == "alias by relay"


def test_a_tunnel_has_no_network_interface(facts: Facts) -> None:
    assert tokens_for(RELAY, facts)["T"] == "NONE"


@pytest.mark.parametrize("token", sorted(PATH_TOKENS - PROXY_TOKENS))
def test_a_proxy_command_accepts_fewer_tokens_than_a_path(token: str, facts: Facts) -> None:
    with pytest.raises(TokenError, match=f"unknown token %{token}"):
        expand(f"nc %{token}", tokens_for(RELAY, facts), PROXY_TOKENS)


@pytest.mark.parametrize("text", ["%", "a%", "%%%"])
def test_a_percent_sign_at_the_end_is_an_error(text: str, facts: Facts) -> None:
    with pytest.raises(TokenError, match="at the end"):
        expand(text, tokens_for(RELAY, facts), PATH_TOKENS)


def test_a_command_keeps_its_quotes_and_its_shell_variables(facts: Facts) -> None:
    command = """sh -c 'nc "%h" %p' ${X} $Y ~ %%"""

    assert expand(command, tokens_for(RELAY, facts), PROXY_TOKENS) == (
        """sh -c 'nc "relay.example.com" 2222' ${X} $Y ~ %"""
    )


@given(st.text())
def test_expanding_escaped_percent_signs_restores_the_text(text: str) -> None:
    assert expand(text.replace("%", "%%"), {}, PATH_TOKENS) == text


@pytest.mark.parametrize(
    ("written", "path"),
    [
        ("/a/b", "/a/b"),
        ("keys/a", "/srv/here/keys/a"),
        ("~", "/home/ann"),
        ("~/k", "/home/ann/k"),
        ("~root/k", "/root/k"),
        ("a~b", "/srv/here/a~b"),
        ("~/%h/%%h", "/home/ann/relay.example.com/%h"),
        ("%d/k", "/home/ann/k"),
        ("${KEYS}/%r", "/keys/tunnel"),
        ("/a/$KEYS", "/a/$KEYS"),
        ("/a/%%{KEYS}", "/a/%{KEYS}"),
    ],
)
def test_a_path_is_expanded_as_in_ssh(written: str, path: str, facts: Facts) -> None:
    assert expand_path(written, tokens_for(RELAY, facts), facts) == path


@pytest.mark.parametrize(
    ("written", "message"),
    [
        ("~unknown/k", "no such user: unknown"),
        ("${NOPE}/k", "no variable NOPE"),
        ("${KEYS/k", "without '}'"),
        ("%H", "unknown token %H"),
        ("%T", "unknown token %T"),
    ],
)
def test_an_error_names_what_cannot_be_expanded(written: str, message: str, facts: Facts) -> None:
    with pytest.raises(TokenError, match=message):
        expand_path(written, tokens_for(RELAY, facts), facts)


def test_the_value_of_a_token_is_not_expanded_again(facts: Facts) -> None:
    destination = Destination("n", "${KEYS}%p~", 22, "%h")

    assert expand_path("/%h/%r", tokens_for(destination, facts), facts) == "/${KEYS}%p~/%h"


def test_the_root_as_home_yields_no_double_slash(facts: Facts) -> None:
    service = Facts("svc", 1, "/", "h", "/", {}, {"svc": "/"}.get)

    assert expand_home("~/k", service) == "/k"
    assert expand_home("~svc", service) == "/"
    assert make_absolute("k", service) == "/k"
    assert make_absolute("k", facts) == "/srv/here/k"
