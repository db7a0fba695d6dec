"""Which forwards are in each other's way."""

from __future__ import annotations

import pytest

from tunnelkeeper.config import ConfigError, parse


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
