"""Conflicts between forwards that listen on the same address."""

from __future__ import annotations

import pytest

from tunnelkeeper.config import ConfigError, parse


def problems_of(text: str) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        parse(text, "t.toml")

    return [str(problem) for problem in caught.value.problems]


def test_a_conflict_between_two_tunnels_names_both() -> None:
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


def test_two_forwards_of_one_tunnel_can_conflict() -> None:
    text = '[tunnels.a]\nhost = "h"\nlocal = ["/s:x:1",\n"/s:x:2"]\n'

    assert problems_of(text) == [
        "t.toml:4: tunnels.a.local[1]: listens on /s, where tunnels.a.local[0] listens already"
    ]


def test_remote_listeners_are_compared_within_one_tunnel_only() -> None:
    tunnel = '[tunnels.{}]\nhost = "h"\nremote = ["80:x:1", "{}:x:1"]\n'

    assert len(parse(tunnel.format("a", 81) + tunnel.format("b", 82), "t.toml").tunnels) == 2
    assert problems_of(tunnel.format("a", 80)) == [
        (
            "t.toml:3: tunnels.a.remote[1]: listens on localhost:80, "
            "where tunnels.a.remote[0] listens already"
        )
    ]


def test_a_local_and_a_remote_port_do_not_conflict() -> None:
    text = '[tunnels.a]\nhost = "h"\nlocal = "80:x:1"\nremote = "80:x:1"\n'

    assert len(parse(text, "t.toml").tunnels["a"].forwards) == 2


def test_different_addresses_with_the_same_port_do_not_conflict() -> None:
    text = '[tunnels.a]\nhost = "h"\nsocks = ["127.0.0.1:80", "127.0.0.2:80", "127.0.0.3:80"]\n'

    assert len(parse(text, "t.toml").tunnels["a"].forwards) == 3
