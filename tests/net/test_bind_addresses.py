"""The sockets of a bind address, and the overlap of two bind addresses."""

from __future__ import annotations

import socket
from contextlib import ExitStack
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tunnelkeeper.config import ConfigError, parse
from tunnelkeeper.core.forward_spec import Address, TcpAddress, UnixAddress, parse_listen
from tunnelkeeper.net.bind_addresses import (
    BindAddress,
    bind_addresses,
    conflict_key,
    overlap,
    special_addresses,
)
from tunnelkeeper.relay.registry import Binding, Registry

if TYPE_CHECKING:
    from tunnelkeeper.forwarding.pump import ChannelEndpoint

needs_ipv6 = pytest.mark.skipif(
    not Path("/proc/net/if_inet6").exists(), reason="this machine has no ::1"
)

IP_HOSTS = ("localhost", "127.0.0.1", "127.0.0.2", "::1", "*", "0.0.0.0", "::")
HOSTS = (*IP_HOSTS, "LOCALHOST", "192.0.2.1", "2001:db8::1", "host", "Host", "host.example")

addresses: st.SearchStrategy[Address] = st.one_of(
    st.builds(TcpAddress, st.sampled_from(HOSTS), st.sampled_from([80, 81])),
    st.builds(UnixAddress, st.sampled_from(["/run/a", "/run/./a", "/run/b", "/80"])),
)


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST"])
def test_localhost_stands_for_both_loopback_addresses(host: str) -> None:
    assert bind_addresses(host) == (
        BindAddress(socket.AF_INET, "127.0.0.1"),
        BindAddress(socket.AF_INET6, "::1", is_optional=True),
    )


@pytest.mark.parametrize("host", ["*", ""])
def test_a_star_or_an_empty_host_stands_for_every_interface(host: str) -> None:
    assert bind_addresses(host) == (
        BindAddress(socket.AF_INET, "0.0.0.0"),
        BindAddress(socket.AF_INET6, "::", is_optional=True),
    )


@pytest.mark.parametrize(
    ("host", "family"),
    [("192.0.2.1", socket.AF_INET), ("2001:db8::1", socket.AF_INET6), ("host", socket.AF_INET)],
)
def test_any_other_host_stands_for_itself(host: str, family: int) -> None:
    assert bind_addresses(host) == (BindAddress(family, host),)
    assert special_addresses(host) == ()


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("80", "80"),
        ("80", "127.0.0.1:80"),
        ("80", "[::1]:80"),
        ("LOCALHOST:80", "127.0.0.1:80"),
        ("*:80", "80"),
        ("*:80", "192.0.2.1:80"),
        ("0.0.0.0:80", "192.0.2.1:80"),
        ("0.0.0.0:80", "80"),
        ("0.0.0.0:80", "host:80"),
        ("[::]:80", "[2001:db8::1]:80"),
        ("[2001:db8:0::1]:80", "[2001:db8::1]:80"),
        ("Host:80", "host:80"),
        ("/run/a.sock", "/run/./a.sock"),
    ],
)
def test_overlapping_addresses(first: str, second: str) -> None:
    assert overlap(parse_listen(first), parse_listen(second))
    assert overlap(parse_listen(second), parse_listen(first))


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("80", "81"),
        ("127.0.0.1:80", "127.0.0.2:80"),
        ("127.0.0.1:80", "[::1]:80"),
        ("0.0.0.0:80", "[::]:80"),
        ("0.0.0.0:80", "[::1]:80"),
        ("[::]:80", "192.0.2.1:80"),
        ("0", "0"),
        ("/run/a.sock", "/run/b.sock"),
        ("/80", "80"),
    ],
)
def test_addresses_that_do_not_overlap(first: str, second: str) -> None:
    assert not overlap(parse_listen(first), parse_listen(second))
    assert not overlap(parse_listen(second), parse_listen(first))


@given(addresses, addresses)
def test_overlap_is_symmetric_and_implies_the_same_key(first: Address, second: Address) -> None:
    assert overlap(first, second) == overlap(second, first)
    assert overlap(first, first)
    assert not overlap(first, second) or conflict_key(first) == conflict_key(second)


# -- the users -----------------------------------------------------------------------------------


@needs_ipv6
@pytest.mark.parametrize(("first", "second"), [*product(IP_HOSTS, IP_HOSTS)])
def test_the_kernel_refuses_the_sockets_of_addresses_that_overlap(first: str, second: str) -> None:
    with ExitStack() as opened:
        port = listen(first, 0, opened)
        expected = overlap(TcpAddress(first, port), TcpAddress(second, port))
        if expected:
            with pytest.raises(OSError, match="in use"):
                listen(second, port, opened)
        else:
            listen(second, port, opened)


def listen(host: str, port: int, opened: ExitStack) -> int:
    """Listen on a host as the package does. Return the port."""
    for address in bind_addresses(host):
        sock = opened.enter_context(socket.socket(address.family, socket.SOCK_STREAM))
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if address.family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        sock.bind((address.host, port))
        sock.listen()
        port = port or sock.getsockname()[1]
    return port


@given(addresses, addresses)
@example(TcpAddress("*", 80), TcpAddress("localhost", 80))
def test_the_config_file_and_the_relay_agree_on_what_overlaps(
    first: Address, second: Address
) -> None:
    expected = overlap(first, second)

    assert is_conflict_in_config(first, second) == expected
    assert is_conflict_in_relay(first, second) == expected


def is_conflict_in_config(first: Address, second: Address) -> bool:
    text = f'[tunnels.a]\nhost = "h"\nsocks = ["{first}", "{second}"]\n'
    try:
        parse(text, "t.toml")
    except ConfigError as error:
        return all("listens already" in problem.message for problem in error.problems)
    return False


def is_conflict_in_relay(first: Address, second: Address) -> bool:
    registry = Registry()
    registry.claim(Binding(first, FakeOwner(), "", 0, ""))
    return bool(registry.claim(Binding(second, FakeOwner(), "", 0, "")))


class FakeOwner:
    """A client that listens and is never reached."""

    identity = ("ann", b"key")

    async def open_channel(self, *_: object) -> ChannelEndpoint:
        raise AssertionError("no client connects")

    def probe_liveness(self) -> None:
        raise AssertionError("the registry challenges no client")
