"""Valid and malformed rtnetlink messages."""

from __future__ import annotations

import socket
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tunnelkeeper.net import rtnetlink
from tunnelkeeper.net.rtnetlink import MAIN_TABLE, NEW_ADDRESS, Address, Route

V4, V6 = socket.AF_INET, socket.AF_INET6
SECONDARY = TEMPORARY = 0x01
DUPLICATE, TENTATIVE, PERMANENT = 0x08, 0x40, 0x80
HOST, LINK, GLOBAL = 254, 253, 0
BOOT, KERNEL = 3, 2
UNICAST, LOCAL, MULTICAST, BLACKHOLE, UNREACHABLE, PROHIBIT, THROW = 1, 2, 5, 6, 7, 8, 9


def attribute(kind: int, data: bytes) -> bytes:
    padding = b"\0" * (-len(data) % 4)
    return struct.pack("=HH", 4 + len(data), kind) + data + padding


def number(kind: int, value: int) -> bytes:
    return attribute(kind, struct.pack("=I", value))


def packed(text: str) -> bytes:
    return socket.inet_pton(V6 if ":" in text else V4, text)


def address(text: str, flags: int = PERMANENT, scope: int = GLOBAL) -> Address | None:
    """Encode a message about an address of link 3, and parse it."""
    family = V6 if ":" in text else V4
    head = struct.pack("=BBBBI", family, 24, flags & 0xFF, scope, 3)
    return rtnetlink.address(head + attribute(1, packed(text)) + number(8, flags))


def route(destination: str, *attributes: bytes, **head: int) -> Route | None:
    """Encode a message about a route of the main table, and parse it."""
    text, _, prefix = destination.partition("/")
    fields = {"protocol": BOOT, "kind": UNICAST, "flags": 0, "family": V6 if ":" in text else V4}
    fields |= head
    start = struct.pack(
        "=BBBBBBBBI",
        fields["family"],
        int(prefix),
        0,
        0,
        MAIN_TABLE,
        fields["protocol"],
        GLOBAL,
        fields["kind"],
        fields["flags"],
    )
    dst = attribute(1, packed(text)) if int(prefix) else b""
    return rtnetlink.route(start + dst + b"".join(attributes))


def message(kind: int, body: bytes) -> bytes:
    return struct.pack("=IHHII", 16 + len(body), kind, 0, 1, 0) + body + b"\0" * (-len(body) % 4)


# -- addresses -------------------------------------------------------------------------------------


@pytest.mark.parametrize("text", ["192.0.2.2", "2001:db8::2"])
def test_a_global_address_is_lasting(text: str) -> None:
    assert address(text) == Address(text, 3, is_lasting=True)


@pytest.mark.parametrize(
    ("text", "flags", "scope"),
    [
        ("127.0.0.1", PERMANENT, HOST),
        ("169.254.3.4", PERMANENT, LINK),
        ("fe80::1", PERMANENT, LINK),
        ("2001:db8::2", TEMPORARY, GLOBAL),
        ("2001:db8::2", TENTATIVE, GLOBAL),
        ("2001:db8::2", DUPLICATE, GLOBAL),
    ],
    ids=["loopback", "no DHCP", "link-local", "temporary", "tentative", "duplicate"],
)
def test_other_addresses_are_not_lasting(text: str, flags: int, scope: int) -> None:
    assert address(text, flags, scope) == Address(text, 3, is_lasting=False)


def test_a_secondary_ipv4_address_is_lasting() -> None:
    assert address("192.0.2.3", SECONDARY) == Address("192.0.2.3", 3, is_lasting=True)


def test_the_local_address_of_a_point_to_point_link_is_read() -> None:
    head = struct.pack("=BBBBI", V4, 32, PERMANENT, GLOBAL, 3)
    peer, local = attribute(1, packed("192.0.2.1")), attribute(2, packed("192.0.2.2"))

    assert rtnetlink.address(head + peer + local) == Address("192.0.2.2", 3, is_lasting=True)


# -- routes ----------------------------------------------------------------------------------------


def test_a_default_route_has_its_gateway_link_and_metric() -> None:
    assert route(
        "0.0.0.0/0", number(4, 3), attribute(5, packed("192.0.2.1")), number(6, 600)
    ) == Route("default", ((3, "192.0.2.1"),), is_kernel_made=False, metric=600)


def test_a_route_without_a_gateway_is_read() -> None:
    assert route("10.0.0.0/8", number(4, 7), number(15, 51820)) == Route(
        "10.0.0.0/8", ((7, ""),), is_kernel_made=False, table=51820
    )


def test_a_route_that_the_kernel_made_for_an_address_is_recognized() -> None:
    parsed = route("192.0.2.0/24", number(4, 3), protocol=KERNEL)

    assert parsed is not None
    assert parsed.is_kernel_made


def test_a_default_route_from_a_router_advertisement_is_not_kernel_made() -> None:
    parsed = route("::/0", number(4, 3), attribute(5, packed("fe80::1")), protocol=KERNEL)

    assert parsed == Route("default (IPv6)", ((3, "fe80::1"),), is_kernel_made=False)


def test_the_next_hops_of_a_multipath_route_are_sorted() -> None:
    def hop(link: int, gateway: str, flags: int) -> bytes:
        gateway_attribute = attribute(5, packed(gateway))
        return struct.pack("=HBBI", 8 + len(gateway_attribute), flags, 0, link) + gateway_attribute

    first, second = hop(3, "192.0.2.1", 0), hop(4, "198.51.100.1", 16)

    parsed = route("0.0.0.0/0", attribute(9, first + second))
    assert parsed is not None
    assert parsed.hops == ((3, "192.0.2.1"), (4, "198.51.100.1"))
    assert parsed == route("0.0.0.0/0", attribute(9, second + first))


def test_a_gateway_may_be_of_the_other_family() -> None:
    via = struct.pack("=H", V6) + packed("fe80::1")

    parsed = route("0.0.0.0/0", number(4, 3), attribute(18, via))
    assert parsed is not None
    assert parsed.hops == ((3, "fe80::1"),)


@pytest.mark.parametrize(
    ("kind", "name"),
    [
        (LOCAL, "local"),
        (BLACKHOLE, "blackhole"),
        (UNREACHABLE, "unreachable"),
        (PROHIBIT, "prohibit"),
        (THROW, "throw"),
        (77, "type 77"),
    ],
)
def test_a_configured_route_of_another_type_is_read(kind: int, name: str) -> None:
    parsed = route("192.0.2.0/24", kind=kind)

    assert parsed == Route("192.0.2.0/24", (), is_kernel_made=False, type=name)


def test_the_sources_of_a_route_are_read() -> None:
    head = struct.pack("=BBBBBBBBI", V6, 0, 48, 16, MAIN_TABLE, BOOT, GLOBAL, UNICAST, 0)
    source, preferred = attribute(2, packed("2001:db8::")), attribute(7, packed("2001:db8::2"))

    parsed = rtnetlink.route(head + source + preferred)
    assert parsed is not None
    assert (parsed.source, parsed.preferred_source, parsed.tos) == (
        *("2001:db8::/48", "2001:db8::2"),
        16,
    )


@pytest.mark.parametrize(
    ("destination", "head"),
    [
        ("192.0.2.2/32", {"kind": LOCAL, "protocol": KERNEL}),
        ("ff00::/8", {"kind": MULTICAST}),
        ("::/0", {"kind": UNREACHABLE, "protocol": KERNEL}),
        ("ff00::/8", {}),
        ("fe80::/64", {"protocol": KERNEL}),
        ("2001:db8::1/128", {"flags": 0x200}),
        ("0.0.0.0/0", {"family": 28}),
    ],
    ids=[
        "own address",
        "multicast",
        "null",
        "multicast as unicast",
        "link-local",
        "cached",
        "MPLS",
    ],
)
def test_routes_that_cannot_matter_are_skipped(destination: str, head: dict[str, int]) -> None:
    assert route(destination, number(4, 3), **head) is None


# -- messages --------------------------------------------------------------------------------------


def test_a_datagram_holds_many_messages() -> None:
    data = message(NEW_ADDRESS, b"abcde") + message(rtnetlink.DONE, b"")

    assert list(rtnetlink.messages(data)) == [(NEW_ADDRESS, b"abcde"), (rtnetlink.DONE, b"")]


def test_a_truncated_message_ends_the_datagram() -> None:
    data = message(NEW_ADDRESS, b"abcd")

    assert list(rtnetlink.messages(data + data[:-1])) == [(NEW_ADDRESS, b"abcd")]


@given(st.binary(max_size=200))
def test_arbitrary_bytes_cause_no_exception(data: bytes) -> None:
    list(rtnetlink.messages(data))
    rtnetlink.address(data)
    rtnetlink.route(data)


@given(
    family=st.sampled_from([V4, V6, 28]),
    prefix=st.integers(0, 255),
    attributes=st.lists(st.tuples(st.integers(0, 40), st.binary(max_size=40)), max_size=6),
)
def test_arbitrary_attributes_cause_no_exception(
    family: int, prefix: int, attributes: list[tuple[int, bytes]]
) -> None:
    tail = b"".join(attribute(kind, data) for kind, data in attributes)
    rtnetlink.address(struct.pack("=BBBBI", family, prefix, 0, 0, 1) + tail)
    rtnetlink.route(struct.pack("=BBBBBBBBI", family, prefix, 0, 0, 254, 3, 0, 1, 0) + tail)
