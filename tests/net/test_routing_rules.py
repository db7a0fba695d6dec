"""Valid and malformed rule messages of rtnetlink."""

from __future__ import annotations

import socket
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tunnelkeeper.net.routing_rules import rule

V4, V6, MULTICAST_ROUTING = socket.AF_INET, socket.AF_INET6, 128
MAIN = 254
TO_TABLE, PROHIBIT, UNKNOWN_ACTION = 1, 8, 99
FWMARK, TABLE, PROTOCOL, SUPPRESS_PREFIXLEN, DSCP = 10, 15, 21, 14, 25


def attribute(kind: int, data: bytes) -> bytes:
    return struct.pack("=HH", 4 + len(data), kind) + data + b"\0" * (-len(data) % 4)


def number(kind: int, value: int) -> bytes:
    return attribute(kind, struct.pack("=I", value))


def message(
    *attributes: bytes, family: int = V4, to: int = 0, tos: int = 0, action: int = TO_TABLE
) -> bytes:
    head = struct.pack("=BBBBBxxBI", family, to, 0, tos, MAIN, action, 0)
    return head + b"".join(attributes)


def test_a_rule_is_one_line() -> None:
    assert rule(message(number(6, 32766))) == "rule 32766: from all lookup main"
    assert rule(message(number(TABLE, 51820))) == "rule 0: from all lookup 51820"
    assert rule(message(family=V6, action=PROHIBIT)) == "rule (IPv6) 0: from all prohibit"
    assert rule(message(tos=16)) == "rule 0: from all tos 0x10 lookup main"
    assert rule(message(action=UNKNOWN_ACTION)) == "rule 0: from all action 99"


def test_an_unknown_attribute_distinguishes_rules() -> None:
    one, other = (rule(message(attribute(DSCP, bytes([value])))) for value in (1, 2))

    assert one == "rule 0: from all attribute 25 01 lookup main"
    assert one != other


def test_attributes_that_decide_nothing_are_omitted() -> None:
    plain = rule(message())

    assert rule(message(attribute(PROTOCOL, b"\x03"))) == plain
    assert rule(message(attribute(SUPPRESS_PREFIXLEN, b"\xff" * 4))) == plain
    assert rule(message(number(SUPPRESS_PREFIXLEN, 0))) != plain


@pytest.mark.parametrize(
    "data",
    [b"", message()[:-1], message(family=MULTICAST_ROUTING), message(to=24)],
    ids=["empty", "short", "multicast routing", "no destination"],
)
def test_malformed_and_foreign_rules_are_skipped(data: bytes) -> None:
    assert rule(data) is None


@given(
    st.sampled_from([V4, V6, 28]),
    st.lists(st.tuples(st.integers(0, 40), st.binary(max_size=40)), max_size=6),
    st.binary(max_size=40),
)
def test_arbitrary_attributes_cause_no_exception(
    family: int, attributes: list[tuple[int, bytes]], tail: bytes
) -> None:
    rule(tail)
    rule(message(*(attribute(kind, data) for kind, data in attributes), family=family) + tail)
