"""Addresses that are closed to clients, in every spelling."""

from ipaddress import IPv4Address, IPv6Address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.relay import address_spellings
from tunnelkeeper.relay.addresses import closed_reason, is_private, parse

CLOSED_IPV4 = [
    "127.0.0.0/8",
    "0.0.0.0/8",
    "169.254.0.0/16",
    "224.0.0.0/4",
    "255.255.255.255/32",
    "100.100.100.200/32",
    "168.63.129.16/32",
    "192.0.0.192/32",
]
CLOSED_IPV6 = [
    "::/127",
    "fe80::/10",
    "ff00::/8",
    "fd00:ec2::/32",
    "fd20:ce::254/128",
    "fd00:c1::a9fe:a9fe/128",
    "fd00:42::42/128",
    "fd00:a9fe:a9fe::1/128",
    "fd00:100::100:200/128",
]
PRIVATE_IPV4 = ["10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/11", "240.0.0.0/5"]
PRIVATE_IPV6 = ["fc00::/8", "fdff::/16", "fec0::/10"]

closed_ipv4 = st.sampled_from(CLOSED_IPV4).flatmap(lambda net: st.ip_addresses(network=net))
private_ipv4 = st.sampled_from(PRIVATE_IPV4).flatmap(lambda net: st.ip_addresses(network=net))
private_ipv6 = st.sampled_from(PRIVATE_IPV6).flatmap(lambda net: st.ip_addresses(network=net))
closed_ipv6 = st.sampled_from(CLOSED_IPV6).flatmap(lambda net: st.ip_addresses(network=net))


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("127.0.0.1", "the relay's own loopback"),
        ("127.255.255.254", "the relay's own loopback"),
        ("::1", "the relay's own loopback"),
        ("::ffff:127.0.0.1", "the relay's own loopback"),
        ("0.0.0.0", "no address of any host"),
        ("::", "no address of any host"),
        ("169.254.169.254", "a cloud's metadata service"),
        ("fd00:ec2::254", "a cloud's metadata service"),
        ("fd00:ec2::23", "a cloud's metadata service"),
        ("fd00:c1::a9fe:a9fe", "a cloud's metadata service"),
        ("fd00:42::42", "a cloud's metadata service"),
        ("fe80::a9fe:a9fe", "a cloud's metadata service"),
        ("168.63.129.16", "a cloud's metadata service"),
        ("64:ff9b::a9fe:a9fe", "a cloud's metadata service"),
        ("::ffff:0:a9fe:a9fe", "a cloud's metadata service"),
        ("169.254.1.1", "a link-local address"),
        ("fe80::1%eth0", "a link-local address"),
        ("224.0.0.1", "a multicast address"),
        ("ff02::1", "a multicast address"),
        ("255.255.255.255", "a broadcast address"),
        ("203.0.113.5", "the relay's own address"),
        ("2002:cb00:7105::1", "the relay's own address"),
        ("2001:db8::5", "the relay's own address"),
    ],
)
def test_a_closed_address_is_reported_with_its_kind(text: str, reason: str) -> None:
    own_addresses = {parse("203.0.113.5"), parse("2001:db8::5")}

    assert closed_reason(parse(text), own_addresses) == reason


@pytest.mark.parametrize(
    "text",
    [
        "192.0.2.1",
        "9.255.255.255",
        "11.0.0.0",
        "172.15.255.255",
        "172.32.0.0",
        "192.167.255.255",
        "100.63.255.255",
        "100.128.0.0",
        "169.253.255.255",
        "169.255.0.0",
        "223.255.255.255",
        "2001:db8::1",
        "fe00::1",
        "64:ff9b::808:808",
        "2002:808:808::1",
        "::ffff:192.0.2.1",
    ],
)
def test_other_addresses_are_open(text: str) -> None:
    assert closed_reason(parse(text)) is None
    assert not is_private(parse(text))


@given(private_ipv4)
def test_a_private_ipv4_address_is_private_in_every_spelling(address: IPv4Address) -> None:
    for spelling in address_spellings.of_ipv4(address):
        assert is_private(parse(spelling)), spelling


@given(private_ipv6)
def test_a_private_ipv6_address_is_private_in_every_spelling(address: IPv6Address) -> None:
    for spelling in address_spellings.of_ipv6(address):
        assert is_private(parse(spelling)), spelling


@given(closed_ipv4)
def test_a_closed_ipv4_address_is_closed_in_every_spelling(address: IPv4Address) -> None:
    for spelling in address_spellings.of_ipv4(address):
        assert closed_reason(parse(spelling)) is not None, spelling


@given(closed_ipv6)
def test_a_closed_ipv6_address_is_closed_in_every_spelling(address: IPv6Address) -> None:
    for spelling in address_spellings.of_ipv6(address):
        assert closed_reason(parse(spelling)) is not None, spelling


@given(st.ip_addresses(v=4))
def test_an_own_address_is_closed_in_every_spelling(address: IPv4Address) -> None:
    for spelling in address_spellings.of_ipv4(address):
        assert closed_reason(parse(spelling), {address}) is not None, spelling


@pytest.mark.parametrize(
    "text",
    [
        "",
        "localhost",
        "127.1",
        "2130706433",
        "0177.0.0.1",
        "[::1]",
        "::1%",
        "::1%a b",
        "::1%" + "a" * 16,
        "::1%é",
        "1.2.3.4%eth0",
        "1.2.3.4 ",
        "::1\n",
    ],
)
def test_text_that_is_not_an_address_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="address"):
        parse(text)
