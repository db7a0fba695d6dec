"""How tunnel, host and [defaults] lie one over the other."""

from __future__ import annotations

from tunnelkeeper.config import parse
from tunnelkeeper.core.configuration import Backoff, Configuration, HostOptions, Tunnel
from tunnelkeeper.core.forward_spec import LocalForward, RemoteForward, SocksForward


def configuration(text: str) -> Configuration:
    return parse(text, "t.toml")


def tunnel(text: str) -> Tunnel:
    """The tunnel `t` of a text."""
    return configuration(text).tunnels["t"]


def test_a_tunnel_lies_over_its_host_and_that_over_the_defaults() -> None:
    text = """
[defaults]
connect_timeout = 1
keepalive_interval = 1
keepalive_count_max = 1
[hosts.relay]
keepalive_interval = 2
keepalive_count_max = 2
[tunnels.t]
host = "relay"
keepalive_count_max = 3
"""

    assert tunnel(text).options == HostOptions(
        connect_timeout=1, keepalive_interval=2, keepalive_count_max=3
    )
    assert configuration(text).hosts["relay"] == HostOptions(
        connect_timeout=1, keepalive_interval=2, keepalive_count_max=2
    )
    assert configuration(text).defaults == HostOptions(
        connect_timeout=1, keepalive_interval=1, keepalive_count_max=1
    )


def test_a_host_with_a_user_and_port_is_still_that_host() -> None:
    options = tunnel("""
[hosts.relay]
hostname = "relay.example.com"
user = "nobody"
port = 22
[tunnels.t]
host = "ann@relay:2222"
""").options

    assert options == HostOptions(hostname="relay.example.com", user="ann", port=(2222,))


def test_keys_of_tunnels_in_the_defaults_are_for_all_tunnels() -> None:
    text = """
[defaults]
gate_time = 1
groups = ["all"]
backoff = { initial = 2, max = 4 }
[tunnels.t]
host = "h"
groups = []
backoff = { max = 8 }
[tunnels.u]
host = "h"
"""
    tunnels = configuration(text).tunnels

    assert tunnels["t"] == Tunnel(
        name="t", host="h", gate_time=1, groups=(), backoff=Backoff(initial=2, max=8)
    )
    assert tunnels["u"] == Tunnel(
        name="u", host="h", gate_time=1, groups=("all",), backoff=Backoff(initial=2, max=4)
    )


def test_the_jump_hosts_of_the_defaults_are_for_final_hosts_only() -> None:
    text = """
[defaults]
jump = ["one", "two"]
[hosts.one]
[hosts.own]
jump = "three"
[tunnels.t]
host = "target"
[tunnels.own]
host = "own"
[tunnels.none]
host = "target"
jump = "none"
"""
    read = configuration(text)

    assert read.defaults.jump == ("one", "two")
    assert read.hosts["one"].jump is None
    assert read.tunnels["t"].options.jump == ("one", "two")
    assert read.tunnels["own"].options.jump == ("three",)
    assert read.tunnels["none"].options.jump == ()


def test_a_tunnel_to_a_default_jump_host_takes_those_before_it() -> None:
    defaults = '[defaults]\njump = ["one", "two"]\n[tunnels.t]\n'

    assert tunnel(f'{defaults}host = "one"').options.jump == ()
    assert tunnel(f'{defaults}host = "ann@two"').options.jump == ("one",)


def test_a_proxy_command_keeps_the_jump_hosts_below_it_from_taking_effect() -> None:
    options = tunnel("""
[defaults]
jump = "one"
[tunnels.t]
host = "h"
proxy_command = "nc %h %p"
""").options

    assert (options.jump, options.proxy_command) == (None, "nc %h %p")


def test_jump_hosts_keep_the_proxy_command_below_them_from_taking_effect() -> None:
    options = tunnel("""
[defaults]
proxy_command = "nc %h %p"
[tunnels.t]
host = "h"
jump = "one"
""").options

    assert (options.jump, options.proxy_command) == (("one",), None)


def test_the_forwards_of_a_tunnel_come_in_the_order_of_ssh_letters() -> None:
    forwards = tunnel("""
[tunnels.t]
host = "h"
socks = 1
remote = "2:x:1"
local = ["3:x:1", "4:x:1"]
""").forwards

    assert [type(forward) for forward in forwards] == [
        LocalForward,
        LocalForward,
        RemoteForward,
        SocksForward,
    ]
