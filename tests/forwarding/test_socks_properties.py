"""Properties of the SOCKS handshake that hold for all inputs."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from tests.forwarding.socks_client import (
    GREETING,
    LONGEST_REQUEST,
    SELECTED,
    Result,
    play,
    socks4,
    socks4a,
    socks5,
    socks5_name,
)
from tunnelkeeper.core.forward_spec import TcpAddress
from tunnelkeeper.forwarding.socks import Handshake

ports = st.integers(1, 65535)
# At most 63 characters of at most 4 bytes fit into a name of 255 bytes.
names = st.text("az09-._:[]%üß日🦀", min_size=1, max_size=63).map(str.encode)
user_ids = st.binary(max_size=255).map(lambda user: user.replace(b"\0", b""))
methods = st.binary(max_size=254).map(lambda others: bytes([5, len(others) + 1]) + others + b"\0")


@st.composite
def handshakes(draw: st.DrawFn) -> tuple[bytes, TcpAddress]:
    """Draw the data that a conforming client sends, and its target."""
    port = draw(ports)
    match draw(st.sampled_from(["4", "4a", "5 ipv4", "5 ipv6", "5 name"])):
        case "4":
            ip = draw(st.ip_addresses(v=4).filter(lambda ip: not 0 < int(ip) < 256))
            return socks4(str(ip), port, user=draw(user_ids)), TcpAddress(str(ip), port)
        case "4a":
            name = draw(names)
            return socks4a(name, port, draw(user_ids)), TcpAddress(name.decode(), port)
        case "5 ipv4":
            ip = draw(st.ip_addresses(v=4))
            return draw(methods) + socks5(1, ip.packed, port), TcpAddress(str(ip), port)
        case "5 ipv6":
            # Mapped and compatible addresses have two spellings; another test covers them.
            ip = draw(st.ip_addresses(v=6).filter(lambda ip: int(ip) >= 1 << 48))
            return draw(methods) + socks5(4, ip.packed, port), TcpAddress(str(ip), port)
        case _:
            name = draw(names)
            return draw(methods) + socks5_name(name, port), TcpAddress(name.decode(), port)


def pieces(data: bytes, cuts: set[int]) -> list[bytes]:
    edges = sorted({0, len(data), *(cut % (len(data) + 1) for cut in cuts)})
    return [data[start:end] for start, end in pairwise(edges)]


cut_points = st.sets(st.integers(0, 2000), max_size=40)
# Mostly bytes that a SOCKS parser accepts for a while, sometimes arbitrary bytes.
noise = st.one_of(
    st.binary(max_size=1200),
    st.tuples(
        st.sampled_from([b"\x04\x01", socks4a(b"")[:8], GREETING, GREETING + b"\x05\x01\x00\x03"]),
        st.binary(max_size=300),
        st.binary(min_size=1, max_size=4).map(lambda unit: unit * 200),
    ).map(b"".join),
)


@given(handshakes(), st.binary(max_size=64))
def test_every_wellformed_request_yields_its_target(
    handshake: tuple[bytes, TcpAddress], stream: bytes
) -> None:
    wire, target = handshake
    reply = SELECTED if wire[0] == 5 else b""

    assert play(wire + stream) == Result(reply, target, None, stream)


@given(handshakes(), st.binary(max_size=64), cut_points)
def test_a_handshake_may_be_cut_anywhere(
    handshake: tuple[bytes, TcpAddress], stream: bytes, cuts: set[int]
) -> None:
    wire = handshake[0] + stream

    assert play(*pieces(wire, cuts)) == play(wire)


@given(noise, cut_points)
def test_arbitrary_bytes_may_be_cut_anywhere(data: bytes, cuts: set[int]) -> None:
    assert play(*pieces(data, cuts)) == play(data)


@given(noise, cut_points)
def test_arbitrary_bytes_never_raise_and_never_grow_the_state(data: bytes, cuts: set[int]) -> None:
    handshake = Handshake()
    for piece in pieces(data, cuts):
        handshake.receive(piece)

        if handshake.request is not None:
            assert len(handshake.leftover) < len(piece)
            break
        assert len(handshake._unread) < LONGEST_REQUEST
        assert handshake.leftover == b""
        if handshake.rejection is not None:
            assert handshake.rejection.isprintable()
            assert len(handshake._unread) == 0
