"""Each key of the config file with valid and invalid values."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

import pytest

from tunnelkeeper.config import ConfigError, parse
from tunnelkeeper.config.schema import (
    BACKOFF_KEYS,
    HOST_KEYS,
    OWN_KEYS,
    POLICY_KEYS,
    SUPERVISOR_KEYS,
    TUNNEL_KEYS,
)
from tunnelkeeper.core.configuration import Backoff, HostOptions, SupervisorOptions, Tunnel
from tunnelkeeper.core.message import Message


def option_of_host(assignment: str) -> Any:
    """Return the parsed value of a key in [hosts.h]."""
    key = assignment.split(" ", 1)[0]
    return getattr(parse(f"[hosts.h]\n{assignment}\n", "t.toml").hosts["h"], key)


def option_of_tunnel(assignment: str) -> Any:
    """Return the parsed value of a key in [tunnels.t]."""
    key = assignment.split(" ", 1)[0]
    text = f"[tunnels.t]\nhost = 'relay'\n{assignment}\n"
    return getattr(parse(text, "t.toml").tunnels["t"], key)


def only_message(text: str) -> str:
    """Return the message of a text with one problem."""
    with pytest.raises(ConfigError) as caught:
        parse(text, "t.toml")

    (problem,) = caught.value.problems
    return str(Message(problem.message, problem.hint))


@pytest.mark.parametrize(
    ("assignment", "value"),
    [
        ("hostname = 'relay.example.com'", "relay.example.com"),
        ("hostname = '::1'", "::1"),
        ("port = 22", (22,)),
        ("port = [22, 443]", (22, 443)),
        ("user = 'ann'", "ann"),
        ("jump = 'a'", ("a",)),
        ("jump = 'a,u@b:22, c'", ("a", "u@b:22", "c")),
        ("jump = ['a', 'ssh://u@[::1]:22']", ("a", "ssh://u@[::1]:22")),
        ("jump = 'none'", ()),
        ("jump = ['none']", ()),
        ("jump = []", ()),
        ("identity_files = '~/.ssh/%h'", ("~/.ssh/%h",)),
        ("identity_files = []", ()),
        ("certificate_files = ['a', 'b']", ("a", "b")),
        ("identities_only = true", True),
        ("identity_agent = 'none'", "none"),
        ("known_hosts = '~/k'", ("~/k",)),
        ("known_hosts = ['~/k', '/etc/k']", ("~/k", "/etc/k")),
        ("host_key_alias = 'home'", "home"),
        ("host_key_policy = 'ask'", "ask"),
        ("host_key_policy = 'strict'", "strict"),
        ("host_key_policy = 'accept-new'", "accept-new"),
        ("host_key_policy = 'no'", "accept-new"),
        ("host_key_policy = 'off'", "accept-new"),
        ("address_family = 'inet6'", "inet6"),
        ("bind_address = '192.0.2.1'", "192.0.2.1"),
        ("compression = false", False),
        ("ciphers = '^aes128-gcm@openssh.com,aes*'", "^aes128-gcm@openssh.com,aes*"),
        ("macs = ['a', 'b']", "a,b"),
        ("kex_algorithms = '-diffie-hellman-*'", "-diffie-hellman-*"),
        ("host_key_algorithms = '+ssh-rsa'", "+ssh-rsa"),
        ("proxy_command = 'nc %h %p'", "nc %h %p"),
        ("connect_timeout = '2m'", 120.0),
        ("keepalive_interval = 0", 0.0),
        ("keepalive_count_max = 1", 1),
        ("tcp_keepalive = true", True),
    ],
)
def test_a_host_key_accepts_its_values(assignment: str, value: object) -> None:
    assert option_of_host(assignment) == value


@pytest.mark.parametrize(
    ("assignment", "message"),
    [
        ("hostname = ''", "expected a string, got an empty one\n  hint: leave the key out instead"),
        ("hostname = 7", "expected a string in quotes, got 7"),
        ("hostname = 'u@h:22'", "write hostname = 'h', user = 'u', port = 22"),
        ("hostname = 'u@h'", "got 'u@h'\n  hint: write hostname = 'h', user = 'u'"),
        ("hostname = '[::1]'", "got '[::1]'\n  hint: write hostname = '::1'"),
        ("hostname = '-oProxyCommand=x'", "expected a host name or an address, got"),
        (
            "port = '22'",
            "expected a port from 1 to 65535, got '22'\n  hint: write it without quotes: 22",
        ),
        ("port = true", "expected a port from 1 to 65535, got true"),
        ("port = 65536", "expected a port from 1 to 65535, got 65536"),
        ("port = []", "expected a port or several, got an empty list"),
        ("port = [[22]]", "expected a port from 1 to 65535, got a list"),
        ("user = 'a b'", "expected a user name, got 'a b'"),
        ("jump = ''", "expected a host, got an empty string"),
        ("jump = 'a,,b'", "expected a host, got an empty string"),
        ("jump = 'a:0'", "expected a port from 1 to 65535 after the colon, got 'a:0'"),
        ("jump = ['a', 'none']", "cannot be combined: jump = 'none'"),
        ("jump = false", "expected a host in quotes, got false"),
        ("identity_files = [1]", "expected a string in quotes, got 1"),
        ("certificate_files = {}", "expected a string in quotes, got a table"),
        ("identities_only = 1", "expected true or false, got 1"),
        ("identity_agent = false", "expected a string in quotes, got false"),
        ("known_hosts = ''", "expected a string, got an empty one"),
        ('host_key_alias = "a\\nb"', "one line without control characters, got 'a\\nb'"),
        (
            "host_key_policy = 'yes'",
            "expected 'ask', 'strict' or 'accept-new', got 'yes'\n  hint: write 'strict'",
        ),
        ("host_key_policy = []", "expected 'ask', 'strict' or 'accept-new', got a list"),
        ("host_key_policy = 'acceptnew'", "got 'acceptnew'\n  hint: did you mean 'accept-new'?"),
        ("address_family = 'ipv4'", "expected 'any', 'inet' or 'inet6', got 'ipv4'"),
        ("bind_address = 1", "expected a string in quotes, got 1"),
        (
            "compression = 'yes'",
            "expected true or false, got 'yes'\n  hint: write true without quotes",
        ),
        ("ciphers = 'aes 128'", "expected names with commas between them"),
        ("macs = ''", "expected a string, got an empty one"),
        ("kex_algorithms = []", "expected names with commas between them"),
        ("host_key_algorithms = 5", "expected a string in quotes, got 5"),
        ("proxy_command = ['nc']", "expected a string in quotes, got a list"),
        ("connect_timeout = 0", "expected a duration of more than 0 seconds, got 0"),
        ("keepalive_interval = 'often'", "expected a duration such as 15"),
        (
            "keepalive_count_max = 0",
            "at least 1, got 0\n  hint: to send none: keepalive_interval = 0",
        ),
        ("tcp_keepalive = 'maybe'", "expected true or false, got 'maybe'"),
    ],
)
def test_an_invalid_host_value_reports_what_was_expected(assignment: str, message: str) -> None:
    assert message in only_message(f"[hosts.h]\n{assignment}\n")


@pytest.mark.parametrize(
    ("assignment", "value"),
    [
        ("autostart = false", False),
        ("groups = 'work'", ("work",)),
        ("groups = ['work', '2.b-c_d']", ("work", "2.b-c_d")),
        ("gate_time = 0", 0.0),
        ("backoff = { max = '5m', jitter = 0 }", Backoff(max=300.0, jitter=0.0)),
        ("backoff = {}", Backoff()),
        ("max_attempts = 3", 3),
        ("max_lifetime = '1d'", 86400.0),
        ("hold_timeout = 2.5", 2.5),
        ("exit_on_forward_failure = true", True),
        ("check_interval = '5m'", 300.0),
        ("check_timeout = 2.5", 2.5),
        ("check_failures = 1", 1),
        ("on_up = ['notify', 'it is', '$(up); \\n']", ("notify", "it is", "$(up); \\n")),
        ("on_up = \"notify 'it is' $(up); rm\"", ("notify", "it is", "$(up);", "rm")),
        ("on_down = []", ()),
        ("hook_timeout = '1m'", 60.0),
    ],
)
def test_a_tunnel_key_accepts_its_values(assignment: str, value: object) -> None:
    assert option_of_tunnel(assignment) == value


@pytest.mark.parametrize(
    ("assignment", "message"),
    [
        (
            "autostart = 'no'",
            "expected true or false, got 'no'\n  hint: write false without quotes",
        ),
        ("groups = ['a b']", "expected a name of at most 64 letters, digits"),
        ("gate_time = -1", "expected a duration such as 15"),
        ("backoff = 5", "expected a table of initial, factor, max, jitter, got 5"),
        (
            "backoff = { speed = 5 }",
            "unknown key\n  hint: the keys here are 'initial', 'factor', 'max'",
        ),
        ("backoff = { mx = 5 }", "unknown key\n  hint: did you mean 'max'?"),
        ("backoff = { initial = 0 }", "expected a duration of more than 0 seconds, got 0"),
        ("backoff = { initial = '2m' }", "initial (120 s) is more than max (60 s)"),
        ("backoff = { factor = 0.5 }", "expected a number from 1 to 100, got 0.5"),
        ("backoff = { factor = '2' }", "got '2'\n  hint: write it without quotes: 2"),
        ("backoff = { jitter = nan }", "expected a number from 0 to 1, got nan"),
        ("max_attempts = 1.5", "expected a whole number of at least 0, got 1.5"),
        ("max_attempts = -1", "expected a whole number of at least 0, got -1"),
        ("max_lifetime = false", "expected a duration such as 15"),
        ("hold_timeout = []", "expected a duration such as 15"),
        ("exit_on_forward_failure = 0", "expected true or false, got 0"),
        ("check_interval = 0", "expected a duration of more than 0 seconds, got 0"),
        ("check_timeout = 0", "expected a duration of more than 0 seconds, got 0"),
        ("check_failures = 0", "expected a whole number of at least 1, got 0"),
        (
            "check = 'tcp'",
            "belongs to one forward\n  hint: write it in its table: { listen = ..., check = ... }",
        ),
        ("on_up = true", "expected a command in quotes, or a list as"),
        ("on_up = ''", "expected a string, got an empty one"),
        ("on_up = ' '", "expected a command, got ' '"),
        ('on_up = "say \'it"', "no closing quotation in"),
        ("on_down = ['say', 5]", "expected a string in quotes, got 5"),
        ("on_down = ['']", "expected a program, got an empty string"),
        ('on_down = ["say", "\\u0000"]', "a program cannot be given a NUL"),
        ("hook_timeout = 0", "expected a duration of more than 0 seconds, got 0"),
    ],
)
def test_an_invalid_tunnel_value_reports_what_was_expected(assignment: str, message: str) -> None:
    assert message in only_message(f"[tunnels.t]\nhost = 'relay'\n{assignment}\n")


@pytest.mark.parametrize(
    ("assignment", "options"),
    [
        ("ssh_config = '~/.ssh/other'", SupervisorOptions(ssh_config="~/.ssh/other")),
        ("ssh_config = false", SupervisorOptions(ssh_config=False)),
        ("log_level = 'debug'", SupervisorOptions(log_level="debug")),
        ("log_format = 'json'", SupervisorOptions(log_format="json")),
    ],
)
def test_a_supervisor_key_accepts_its_values(assignment: str, options: SupervisorOptions) -> None:
    assert parse(f"[supervisor]\n{assignment}\n", "t.toml").supervisor == options


@pytest.mark.parametrize(
    ("assignment", "message"),
    [
        ("ssh_config = true", "expected a path in quotes, or false to read none, got true"),
        ("ssh_config = ''", "expected a string, got an empty one"),
        ("log_level = 'warn'", "got 'warn'\n  hint: did you mean 'warning'?"),
        ("log_format = 'JSON'", "got 'JSON'\n  hint: did you mean 'json'?"),
        ("log_levle = 'info'", "unknown key\n  hint: did you mean 'log_level'?"),
    ],
)
def test_an_invalid_supervisor_value_reports_what_was_expected(
    assignment: str, message: str
) -> None:
    assert message in only_message(f"[supervisor]\n{assignment}\n")


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ("[hosts.h]\nhostnam = 'a'", "unknown key\n  hint: did you mean 'hostname'?"),
        ("[hosts.h]\nquux = 1", "unknown key"),
        (
            "[hosts.h]\nIdentityFile = 'a'",
            "unknown key\n  hint: it is called 'identity_files' here",
        ),
        (
            "[hosts.h]\nserver-alive-interval = 1",
            "unknown key\n  hint: it is called 'keepalive_interval'",
        ),
        ("[hosts.h]\nautostart = true", "a key of a tunnel, not of a host"),
        ("[hosts.h]\nlocal = '1:b:2'", "a key of a tunnel, not of a host"),
        ("[hosts.a.example.org]\n", 'write a name with dots in quotes, as in [hosts."a.'),
        ("[defaults]\nhost = 'a'", "not allowed in [defaults]: it belongs to one tunnel"),
        ("[defaults]\nsocks = 1080", "not allowed in [defaults]: it belongs to one tunnel"),
        ("[defaults]\ngate_tme = 1", "unknown key\n  hint: did you mean 'gate_time'?"),
        (
            "[tunnels.t]\nhost = 'a'\nDynamicForward = 1",
            "unknown key\n  hint: it is called 'socks' here",
        ),
        ("[tunnel.t]\nhost = 'a'", "unknown key\n  hint: did you mean 'tunnels'?"),
        ("[hosts]\nh = 'a'", "expected a table, got 'a'"),
        ("hosts = 1", "expected tables with names, [hosts.NAME], got 1"),
        ("[[tunnels]]\nhost = 'a'", "expected tables with names, [tunnels.NAME], got a list"),
        ("defaults = []", "expected a table, got a list"),
        ("[hosts.'-h']\n", "expected a name of at most 64 letters, digits"),
        ("[tunnels.'a b']\nhost = 'a'", "expected a name of at most 64 letters, digits"),
        (f"[hosts.{'h' * 65}]\n", "expected a name of at most 64 letters, digits"),
        (
            "[tunnels.t]\n",
            "'host' is missing\n  hint: write host = \"...\": a [hosts] name, an ssh_config",
        ),
        ("[tunnels.t]\nhots = 'a'", "unknown key\n  hint: did you mean 'host'?"),
        ("[tunnels.t]\nhost = ''", "expected a host, got an empty string"),
        ("[tunnels.t]\nhost = 22", "expected a host in quotes, got 22"),
    ],
)
def test_an_unknown_or_misplaced_key_is_reported(table: str, message: str) -> None:
    assert message in only_message(f"{table}\n")


def test_keys_and_fields_correspond() -> None:
    forwards = {"local", "remote", "socks"}

    assert set(HOST_KEYS) == {field.name for field in fields(HostOptions)}
    assert set(SUPERVISOR_KEYS) == {field.name for field in fields(SupervisorOptions)}
    assert set(BACKOFF_KEYS) == {field.name for field in fields(Backoff)}
    assert {*POLICY_KEYS, *OWN_KEYS} - forwards == {field.name for field in fields(Tunnel)} - {
        "name",
        "forwards",
        "options",
        "checks",
    }
    assert len(TUNNEL_KEYS) == len(HOST_KEYS) + len(POLICY_KEYS) + len(OWN_KEYS)
