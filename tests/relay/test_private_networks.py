"""Private networks are closed unless the relay or the key names what a client opens."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.relay import address_spellings
from tests.relay.test_addresses import private_ipv4, private_ipv6
from tunnelkeeper.relay.key_options import KeyOptions
from tunnelkeeper.relay.permits import ANYTHING, Permit, parse_network, parse_open
from tunnelkeeper.relay.policy import check_open, check_open_name

UNRESTRICTED = KeyOptions()


def open_permits(*permits: str) -> tuple[Permit, ...]:
    return tuple(parse_network(permit) or parse_open(permit) for permit in permits)


PRIVATE = [
    # permits of the relay, permitopen of the key, host, its address, whether it is open
    (["*:*"], None, "10.0.0.1", "10.0.0.1", False),
    (["*:*"], None, "intranet", "192.168.1.1", False),
    (["*:22"], None, "intranet", "100.64.0.1", False),
    (["*:*"], None, "intranet", "fd12::1", False),
    (["*:*", "10.0.0.1:22"], None, "10.0.0.1", "10.0.0.1", True),
    (["*:*", "10.0.0.1:22"], None, "intranet", "10.0.0.1", True),
    (["*:*", "10.0.0.1:23"], None, "10.0.0.1", "10.0.0.1", False),
    (["intranet:22"], None, "intranet", "10.0.0.1", True),
    (["*:*", "10.0.0.0/8:22"], None, "intranet", "10.1.2.3", True),
    (["*:*", "10.0.0.0/8:23"], None, "intranet", "10.1.2.3", False),
    (["*:*", "10.0.0.0/8:*"], None, "intranet", "192.168.1.1", False),
    (["*:*", "[fd00::/8]:*"], None, "intranet", "fd12::1", True),
    # A network alone allows its addresses, and only them, whatever the host is called.
    (["10.0.0.0/8:*"], None, "intranet", "10.1.2.3", True),
    (["10.0.0.0/8:*"], None, "intranet", "192.0.2.1", False),
    # The key names the host or the address.
    (["*:*"], ["intranet:22"], "intranet", "10.0.0.1", True),
    (["*:*"], ["10.0.0.1:*"], "10.0.0.1", "10.0.0.1", True),
    (["*:*"], ["*:22"], "intranet", "10.0.0.1", False),
    # A network opens neither metadata services nor what is the relay's own.
    (["*:*", "100.64.0.0/10:*"], None, "meta", "100.100.100.200", False),
    (["*:*", "[fd00::/8]:*"], None, "meta", "fd00:ec2::254", False),
    (["*:*", "127.0.0.0/8:*"], None, "localhost", "127.0.0.1", False),
    (["*:*", "10.0.0.0/8:*"], None, "own", "10.9.9.9", False),
    (["*:*"], ["own:22"], "own", "10.9.9.9", False),
]


@pytest.mark.parametrize(("permits", "by_key", "host", "address", "expected"), PRIVATE)
def test_a_private_network_is_open_only_if_it_is_named(
    permits: list[str], by_key: list[str] | None, host: str, address: str, expected: bool
) -> None:
    options = KeyOptions(permit_open=None if by_key is None else open_permits(*by_key))

    refusal = check_open(host, 22, [address], open_permits(*permits), options, own=["10.9.9.9"])

    assert (refusal is None) is expected


@pytest.mark.parametrize(
    ("permits", "host", "line"),
    [
        (["*:*"], "10.0.0.1", 'permit_open = ["*:*", "10.0.0.1:22"] of relay.toml opens it'),
        (["*:*"], "db.lan", 'permit_open = ["*:*", "db.lan:22"] of relay.toml opens it'),
        (["*:*"], "fd12::1", 'permit_open = ["*:*", "[fd12::1]:22"] of relay.toml opens it'),
        (["*:22"], "db.lan", '"db.lan:22" in permit_open of relay.toml opens it'),
    ],
)
def test_the_refusal_of_a_private_network_names_the_line_that_opens_it(
    permits: list[str], host: str, line: str
) -> None:
    address = "fd12::1" if ":" in host else "10.0.0.1"

    refusal = check_open(host, 22, [address], open_permits(*permits), UNRESTRICTED)

    assert str(refusal) == f"{address} is in a private network, which is closed; {line}"


@given(private_ipv4 | private_ipv6, st.integers(1, 65535))
def test_no_private_address_passes_in_any_spelling(
    address: IPv4Address | IPv6Address, port: int
) -> None:
    spellings = (
        address_spellings.of_ipv4(address)
        if isinstance(address, IPv4Address)
        else address_spellings.of_ipv6(address)
    )
    for spelling in spellings:
        for host in ("rebound.example.com", spelling):
            assert check_open(host, port, [spelling], [ANYTHING], UNRESTRICTED), spelling


def test_a_network_permits_no_name() -> None:
    permits = open_permits("10.0.0.0/8:*")

    assert check_open_name("box", 22, permits, UNRESTRICTED) is not None
    assert check_open_name("box", 22, open_permits("*:22"), UNRESTRICTED) is None
    assert check_open_name("box", 23, open_permits("*:22"), UNRESTRICTED) is not None
    assert check_open_name("box", 22, [ANYTHING], KeyOptions(port_forwarding=False)) is not None
