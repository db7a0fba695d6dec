"""Which forwards are in each other's way."""

from __future__ import annotations

import pytest

from tunnelkeeper.config import ConfigError, parse
from tunnelkeeper.config.listen_conflicts import overlap
from tunnelkeeper.core.forward_spec import parse_listen


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
def test_these_cannot_both_be_listened_on(first: str, second: str) -> None:
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
def test_these_are_not_in_each_others_way(first: str, second: str) -> None:
    assert not overlap(parse_listen(first), parse_listen(second))
    assert not overlap(parse_listen(second), parse_listen(first))


def problems_of(text: str) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        parse(text, "t.toml")

    return [str(problem) for problem in caught.value.problems]


def test_two_tunnels_that_listen_on_one_port_are_both_named() -> None:
    text = """
[tunnels.a]
host = "h"
local = ["1:x:1", "*:8080:x:1"]
[tunnels.b]
host = "h"
socks = 8080
"""

    assert problems_of(text) == [
        (
            "t.toml:7: tunnels.b.socks: listens on localhost:8080, "
            "where tunnels.a.local[1] (*:8080) listens already"
        )
    ]


def test_one_tunnel_can_be_in_its_own_way() -> None:
    text = '[tunnels.a]\nhost = "h"\nlocal = ["/s:x:1",\n"/s:x:2"]\n'

    assert problems_of(text) == [
        "t.toml:4: tunnels.a.local[1]: listens on /s, where tunnels.a.local[0] listens already"
    ]


def test_listeners_on_servers_are_compared_within_a_tunnel_only() -> None:
    tunnel = '[tunnels.{}]\nhost = "h"\nremote = ["80:x:1", "{}:x:1"]\n'

    assert len(parse(tunnel.format("a", 81) + tunnel.format("b", 82), "t.toml").tunnels) == 2
    assert problems_of(tunnel.format("a", 80)) == [
        (
            "t.toml:3: tunnels.a.remote[1]: listens on localhost:80, "
            "where tunnels.a.remote[0] listens already"
        )
    ]


def test_a_port_here_and_the_same_on_the_server_are_two_ports() -> None:
    text = '[tunnels.a]\nhost = "h"\nlocal = "80:x:1"\nremote = "80:x:1"\n'

    assert len(parse(text, "t.toml").tunnels["a"].forwards) == 2


def test_several_addresses_of_one_port_can_be_listened_on() -> None:
    text = '[tunnels.a]\nhost = "h"\nsocks = ["127.0.0.1:80", "127.0.0.2:80", "127.0.0.3:80"]\n'

    assert len(parse(text, "t.toml").tunnels["a"].forwards) == 3
