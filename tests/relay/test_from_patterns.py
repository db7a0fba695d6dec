"""The patterns of from=: which peers match, and that negation takes precedence."""

from ipaddress import IPv4Address, IPv6Address, ip_network

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from tunnelkeeper.relay.from_patterns import PatternError, check, matches

HERE = "192.0.2.7"


@pytest.mark.parametrize(
    ("patterns", "address", "expected"),
    [
        ("192.0.2.7", HERE, True),
        ("192.0.2.8", HERE, False),
        ("192.0.2.0/24", HERE, True),
        ("198.51.100.0/24", HERE, False),
        ("0.0.0.0/0", HERE, True),
        ("::/0", HERE, False),
        ("192.0.2.*", HERE, True),
        ("192.0.2.?", HERE, True),
        ("192.0.2.?", "192.0.2.17", False),
        ("*", HERE, True),
        ("198.51.100.0/24,192.0.2.7", HERE, True),
        ("2001:db8::/32", "2001:db8::1", True),
        ("2001:DB8::1", "2001:db8:0:0::1", True),
        ("2001:db8:*", "2001:db8::1", True),
        ("2001:db8::/32", HERE, False),
        ("fe80::/10", "fe80::1%eth0", True),
        # A dual-stack socket sees IPv4 clients as mapped ones.
        ("192.0.2.0/24", "::ffff:192.0.2.7", True),
        ("::ffff:192.0.2.0/120", HERE, True),
        ("192.0.2.*", "::ffff:192.0.2.7", True),
        ("::/0", "::ffff:192.0.2.7", False),
        # "A negated match will never produce a positive result by itself" (ssh_config(5)).
        ("!198.51.100.1", HERE, False),
        ("!198.51.100.1,*", HERE, True),
        ("!192.0.2.7,*", HERE, False),
        ("!192.0.2.0/24,192.0.2.7", HERE, False),
        ("!::ffff:192.0.2.0/120,*", HERE, False),
        # Negation takes precedence at any position.
        ("*,!192.0.2.7", HERE, False),
        ("192.0.2.7,!192.0.2.0/24", HERE, False),
        ("!192.0.2.*,192.0.2.7", HERE, False),
        # A list with an invalid pattern matches no client.
        ("192.0.2.7/24,*", HERE, False),
        ("192.0.2.0/33,*", HERE, False),
        ("192.0.2.0/255.255.255.0,*", HERE, False),
        (",*", HERE, False),
        ("!,*", HERE, False),
        ("", HERE, False),
        ("*", "no address", False),
        ("*", "", False),
    ],
)
def test_an_address_is_matched_with_every_pattern(
    patterns: str, address: str, expected: bool
) -> None:
    assert matches(patterns.split(","), address, None) is expected


@pytest.mark.parametrize(
    ("patterns", "hostname", "expected"),
    [
        ("host.example.com", "host.example.com", True),
        ("*.example.com", "host.example.com", True),
        ("*.Example.COM", "HOST.example.com.", True),
        ("*.example.com", "host.example.org", False),
        ("*.example.com", None, False),
        # The example of ssh_config(5), PATTERNS.
        ("!*.dialup.example.com,*.example.com", "box.example.com", True),
        ("!*.dialup.example.com,*.example.com", "a.dialup.example.com", False),
        # Address or name may match, and either may be refused.
        ("192.0.2.7", "host.example.com", True),
        ("!host.example.com,192.0.2.7", "host.example.com", False),
        ("!192.0.2.7,*.example.com", "host.example.com", False),
        # Without a name the address is used as the name, as with UseDNS no in sshd.
        ("192.0.2.*", None, True),
        # A name that looks like an address is not treated as one.
        ("198.51.100.0/24", "198.51.100.1", False),
    ],
)
def test_a_host_name_is_matched_with_every_pattern(
    patterns: str, hostname: str | None, expected: bool
) -> None:
    assert matches(patterns.split(","), HERE, hostname) is expected


@pytest.mark.parametrize(
    ("pattern", "reason"),
    [
        ("", "got ''"),
        ("!", "got '!'"),
        ("a b", "got 'a b'"),
        ("a\x1b", r"got 'a\\x1b'"),
        ("10.0.0.0/x", "length in bits"),
        ("10.0.0.0/", "length in bits"),
        ("10.0.0.0/255.0.0.0", "length in bits"),
        ("10.0.0.1/8", "has host bits set"),
        ("10.0.0.0/33", "not a network"),
        ("10.0.0.0/" + "9" * 5000, "not a network"),
        ("example.com/24", "expected address/length"),
    ],
)
def test_a_bad_pattern_is_named(pattern: str, reason: str) -> None:
    with pytest.raises(PatternError, match=reason) as error_info:
        check(pattern)

    assert str(error_info.value).isprintable()


@given(st.lists(st.text()), st.text(), st.none() | st.text())
def test_no_input_from_a_peer_or_a_file_raises(
    patterns: list[str], address: str, hostname: str | None
) -> None:
    matches(patterns, address, hostname)


@given(st.ip_addresses(), st.integers(0, 32))
def test_a_network_of_an_address_matches_and_its_negation_refuses(
    address: IPv4Address | IPv6Address, host_bits: int
) -> None:
    assume(":ffff:" not in f"::{address}")  # an IPv4-mapped one is in IPv4's networks
    network = ip_network(f"{address}/{address.max_prefixlen - host_bits}", strict=False)

    assert matches([str(network)], str(address), None)
    assert not matches(["*", f"!{network}"], str(address), None)
