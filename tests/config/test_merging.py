"""Merging of tunnel, host and [defaults] settings."""

from __future__ import annotations

from tunnelkeeper.config import parse
from tunnelkeeper.core.configuration import Backoff, Configuration, HostOptions, Tunnel
from tunnelkeeper.core.forward_spec import LocalForward, RemoteForward, SocksForward


def configuration(text: str) -> Configuration:
    return parse(text, "t.toml")


def tunnel(text: str) -> Tunnel:
    """Return the tunnel `t` of a config text."""
    return configuration(text).tunnels["t"]


def test_a_tunnel_overrides_its_host_and_the_host_overrides_the_defaults() -> None:
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


def test_a_host_with_a_user_and_port_uses_the_host_s_table() -> None:
    options = tunnel("""
[hosts.relay]
hostname = "relay.example.com"
user = "bob"
port = 22
[tunnels.t]
host = "ann@relay:2222"
""").options

    assert options == HostOptions(hostname="relay.example.com", user="ann", port=(2222,))


def test_tunnel_keys_in_the_defaults_apply_to_all_tunnels() -> None:
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


def test_default_jump_hosts_apply_to_final_hosts_only() -> None:
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
    merged = configuration(text)

    assert merged.defaults.jump == ("one", "two")
    assert merged.hosts["one"].jump is None
    assert merged.tunnels["t"].options.jump == ("one", "two")
    assert merged.tunnels["own"].options.jump == ("three",)
    assert merged.tunnels["none"].options.jump == ()


def test_a_tunnel_to_a_default_jump_host_uses_the_jump_hosts_before_it() -> None:
    defaults = '[defaults]\njump = ["one", "two"]\n[tunnels.t]\n'

    assert tunnel(f'{defaults}host = "one"').options.jump is None
    assert tunnel(f'{defaults}host = "ann@two"').options.jump == ("one",)


def test_a_proxy_command_overrides_inherited_jump_hosts() -> None:
    options = tunnel("""
[defaults]
jump = "one"
[tunnels.t]
host = "h"
proxy_command = "nc %h %p"
""").options

    assert (options.jump, options.proxy_command) == (None, "nc %h %p")


def test_jump_hosts_override_an_inherited_proxy_command() -> None:
    options = tunnel("""
[defaults]
proxy_command = "nc %h %p"
[tunnels.t]
host = "h"
jump = "one"
""").options

    assert (options.jump, options.proxy_command) == (("one",), None)


def test_forwards_are_ordered_local_remote_socks() -> None:
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
