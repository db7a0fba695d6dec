"""Host specs as written by users, and unsafe ones that are rejected."""

from __future__ import annotations

import socket

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tunnelkeeper.core.host_spec import (
    HostSpec,
    HostSpecError,
    host_name_problem,
    parse_host_spec,
)

NAMES = st.text("abcXYZ019._-", min_size=1).filter(lambda name: not name.startswith("-"))
USERS = st.text("abcXYZ019._-\\@%+", min_size=1).filter(
    lambda user: not user.startswith("-") and not user.endswith("\\")
)
HOSTS = NAMES | st.ip_addresses(v=4).map(str) | st.ip_addresses(v=6).map(str)
PORTS = st.integers(1, 65535)
REFERENCES = st.builds(HostSpec, st.none() | USERS, HOSTS, st.none() | PORTS)


@pytest.mark.parametrize(
    ("text", "reference"),
    [
        ("relay", HostSpec(None, "relay", None)),
        ("relay.example.com", HostSpec(None, "relay.example.com", None)),
        ("ann@relay", HostSpec("ann", "relay", None)),
        ("ann@relay:2222", HostSpec("ann", "relay", 2222)),
        ("relay:22", HostSpec(None, "relay", 22)),
        ("ann@corp@relay", HostSpec("ann@corp", "relay", None)),
        ("CORP\\ann@relay", HostSpec("CORP\\ann", "relay", None)),
        ("[::1]", HostSpec(None, "::1", None)),
        ("ann@[fe80::1%eth0]:2200", HostSpec("ann", "fe80::1%eth0", 2200)),
        ("ssh://relay", HostSpec(None, "relay", None)),
        ("ssh://ann@relay:2222", HostSpec("ann", "relay", 2222)),
        ("ssh://ann@[::1]:2222/", HostSpec("ann", "::1", 2222)),
        ("ssh://ann%40corp@relay", HostSpec("ann@corp", "relay", None)),
    ],
)
def test_a_host_spec_is_parsed_as_by_ssh(text: str, reference: HostSpec) -> None:
    assert parse_host_spec(text) == reference


@given(REFERENCES)
def test_a_printed_host_spec_reads_back(reference: HostSpec) -> None:
    assert parse_host_spec(str(reference)) == reference


@given(REFERENCES)
def test_a_host_spec_and_its_url_are_equal(reference: HostSpec) -> None:
    escaped = HostSpec(
        None if reference.user is None else reference.user.replace("%", "%25"),
        reference.host,
        reference.port,
    )

    assert parse_host_spec(f"ssh://{escaped}") == reference


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", "an empty string"),
        ("@relay", "a user name before the @"),
        ("ann@", "[user@]host[:port]"),
        (":22", "[user@]host[:port]"),
        ("relay:", "a port from 1 to 65535"),
        ("relay:0", "a port from 1 to 65535"),
        ("relay:65536", "a port from 1 to 65535"),
        ("relay:ssh", "a port from 1 to 65535"),
        ("relay:\N{ARABIC-INDIC DIGIT TWO}2", "a port from 1 to 65535"),
        ("::1", "an IPv6 address stands in brackets"),
        ("[::1", "[address] or [address]:port"),
        ("[::1]22", "[address] or [address]:port"),
        ("[]", "[user@]host[:port]"),
        ("two words", "[user@]host[:port]"),
        ("a,b", "[user@]host[:port]"),
        ("ssh://relay/path", "[user@]host[:port]"),
        ("ssh://", "[user@]host[:port]"),
        ("ssh://ann:secret@relay", "a user name before the @"),
        ("ssh://%0aann@relay", "a user name before the @"),
    ],
)
def test_the_error_of_an_invalid_host_spec_states_what_was_expected(
    text: str, expected: str
) -> None:
    with pytest.raises(HostSpecError) as caught:
        parse_host_spec(text)

    assert expected in str(caught.value)


@pytest.mark.parametrize(
    "text", ["-oProxyCommand=x", "-x@relay", "$(x)", "`x`@relay", "a;b", "a|b", "a\nb", "*", "a\\"]
)
def test_an_option_or_shell_syntax_is_never_a_host_spec(text: str) -> None:
    with pytest.raises(HostSpecError):
        parse_host_spec(text)


@given(st.text())
def test_any_text_is_a_host_spec_or_an_error(text: str) -> None:
    try:
        host = parse_host_spec(text).host
    except HostSpecError as error:
        host = str(error)

    assert host
    assert host.isprintable()


def test_host_specs_with_different_users_are_the_same_server() -> None:
    assert parse_host_spec("ann@relay:22").is_same_server(parse_host_spec("bob@relay:22"))
    assert not parse_host_spec("relay:22").is_same_server(parse_host_spec("relay:23"))


@pytest.mark.parametrize(
    "name",
    [
        *(
            "relay",
            "relay.example.com",
            "relay.example.com.",
            "under_score.example",
            "xn--bcher-kva",
        ),
        *("b\u00fccher.example", "127.0.0.1", "127.1", "0x7f000001", "2130706433", "0177.0.0.1"),
        *("::1", "fe80::1%eth0", "::ffff:127.0.0.1", "x" * 63, "a1", "1a.b2", "0"),
        *("relay.1", "1.web.01"),  # hosts(5) may have them
    ],
)
def test_a_name_that_may_exist_has_no_problem(name: str) -> None:
    assert host_name_problem(name) is None


@pytest.mark.parametrize(
    ("name", "problem"),
    [
        ("a..b", "empty"),
        (".a", "empty"),
        (".", "empty"),
        ("x" * 64, "longer than 63"),
        (".".join(["x" * 60] * 5), "at most 253"),
        ("b\u00fc" + "c" * 61, "longer than 63"),
        ("10.0.0.256", "not an IPv4"),
        ("1.2.3.4.5", "not an IPv4"),
        ("08.1.1.1", "not an IPv4"),
        ("0x", "not an IPv4"),
        ("4294967296", "not an IPv4"),
        ("1:2", "not an IPv6"),
        ("fe80::1::2", "not an IPv6"),
    ],
)
def test_a_name_that_cannot_exist_has_a_problem(name: str, problem: str) -> None:
    assert problem in (host_name_problem(name) or "")


@given(st.lists(st.sampled_from(["0", "1", "255", "256", "0x1f", "010", "09", "65536"])))
def test_an_ipv4_address_is_one_that_the_system_accepts(parts: list[str]) -> None:
    text = ".".join([*parts, "7"])
    try:
        socket.inet_aton(text)
    except OSError:
        assert host_name_problem(text) is not None
    else:
        assert host_name_problem(text) is None
