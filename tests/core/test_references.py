"""References as people write them, and those that nobody should get past ssh."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tunnelkeeper.core.references import HostReferenceError, Reference, parse_reference

NAMES = st.text("abcXYZ019._-", min_size=1).filter(lambda name: not name.startswith("-"))
USERS = st.text("abcXYZ019._-\\@%+", min_size=1).filter(
    lambda user: not user.startswith("-") and not user.endswith("\\")
)
HOSTS = NAMES | st.ip_addresses(v=4).map(str) | st.ip_addresses(v=6).map(str)
PORTS = st.integers(1, 65535)
REFERENCES = st.builds(Reference, st.none() | USERS, HOSTS, st.none() | PORTS)


@pytest.mark.parametrize(
    ("text", "reference"),
    [
        ("relay", Reference(None, "relay", None)),
        ("relay.example.com", Reference(None, "relay.example.com", None)),
        ("ann@relay", Reference("ann", "relay", None)),
        ("ann@relay:2222", Reference("ann", "relay", 2222)),
        ("relay:22", Reference(None, "relay", 22)),
        ("ann@corp@relay", Reference("ann@corp", "relay", None)),
        ("CORP\\ann@relay", Reference("CORP\\ann", "relay", None)),
        ("[::1]", Reference(None, "::1", None)),
        ("ann@[fe80::1%eth0]:2200", Reference("ann", "fe80::1%eth0", 2200)),
        ("ssh://relay", Reference(None, "relay", None)),
        ("ssh://ann@relay:2222", Reference("ann", "relay", 2222)),
        ("ssh://ann@[::1]:2222/", Reference("ann", "::1", 2222)),
        ("ssh://ann%40corp@relay", Reference("ann@corp", "relay", None)),
    ],
)
def test_a_reference_is_read_as_ssh_reads_it(text: str, reference: Reference) -> None:
    assert parse_reference(text) == reference


@given(REFERENCES)
def test_a_printed_reference_reads_back(reference: Reference) -> None:
    assert parse_reference(str(reference)) == reference


@given(REFERENCES)
def test_a_reference_reads_the_same_as_a_url(reference: Reference) -> None:
    escaped = Reference(
        None if reference.user is None else reference.user.replace("%", "%25"),
        reference.host,
        reference.port,
    )

    assert parse_reference(f"ssh://{escaped}") == reference


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
def test_a_malformed_reference_says_what_was_expected(text: str, expected: str) -> None:
    with pytest.raises(HostReferenceError) as caught:
        parse_reference(text)

    assert expected in str(caught.value)


@pytest.mark.parametrize(
    "text", ["-oProxyCommand=x", "-x@relay", "$(x)", "`x`@relay", "a;b", "a|b", "a\nb", "*", "a\\"]
)
def test_an_option_or_shell_syntax_is_never_a_reference(text: str) -> None:
    with pytest.raises(HostReferenceError):
        parse_reference(text)


@given(st.text())
def test_any_text_is_a_reference_or_a_malformed_one(text: str) -> None:
    try:
        host = parse_reference(text).host
    except HostReferenceError as error:
        host = str(error)

    assert host
    assert host.isprintable()


def test_references_name_the_same_server_whoever_logs_in() -> None:
    assert parse_reference("ann@relay:22").same_server(parse_reference("bob@relay:22"))
    assert not parse_reference("relay:22").same_server(parse_reference("relay:23"))
