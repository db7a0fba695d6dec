"""Forwards as strings, as tables and as bare ports."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tunnelkeeper.config.errors import InvalidValueError
from tunnelkeeper.config.forward_values import Entry, local, remote, socks
from tunnelkeeper.core.forward_spec import (
    Forward,
    LocalForward,
    RemoteForward,
    RemoteSocksForward,
    SocksForward,
    TcpAddress,
    UnixAddress,
)
from tunnelkeeper.core.probes import HttpProbe, TcpProbe

if TYPE_CHECKING:
    from tunnelkeeper.config.value_parsers import Reader

HERE = TcpAddress("localhost", 8080)
WEB = TcpAddress("web", 80)


def forwards(read: Reader[tuple[Entry, ...]], value: object) -> list[Forward]:
    """What a value makes, where no check is the matter."""
    entries = read(value)
    assert all(entry == Entry(entry.forward) for entry in entries)
    return [entry.forward for entry in entries]


@pytest.mark.parametrize(
    "value",
    [
        "8080:web:80",
        ["8080:web:80"],
        {"listen": "8080", "connect": "web:80"},
        {"listen": 8080, "connect": "web:80"},
        [{"listen": "localhost:8080", "connect": "web:80"}],
    ],
)
def test_a_local_forward_has_many_forms(value: object) -> None:
    assert forwards(local, value) == [LocalForward(HERE, WEB)]


def test_either_end_of_a_table_can_be_a_unix_socket() -> None:
    value = {"listen": "/run/a.sock", "connect": "/run/b.sock"}
    ends = UnixAddress("/run/a.sock"), UnixAddress("/run/b.sock")

    assert forwards(local, value) == [LocalForward(*ends)]
    assert forwards(remote, value) == [RemoteForward(*ends)]


def test_a_remote_forward_without_a_target_is_a_socks_proxy() -> None:
    for value in ("8080", {"listen": "8080"}, {"listen": 8080}):
        assert forwards(remote, value) == [RemoteSocksForward(HERE)]


def test_a_remote_forward_may_leave_the_port_to_the_server() -> None:
    expected = [RemoteForward(TcpAddress("localhost", 0), WEB)]

    assert forwards(remote, "0:web:80") == expected
    assert forwards(remote, {"listen": 0, "connect": "web:80"}) == expected


@pytest.mark.parametrize("value", [8080, [8080], "8080", ["8080"], {"listen": 8080}])
def test_a_socks_forward_may_be_a_bare_port(value: object) -> None:
    assert forwards(socks, value) == [SocksForward(HERE)]


def test_a_remote_port_alone_stands_in_quotes_like_every_remote_spec() -> None:
    with pytest.raises(InvalidValueError, match=r'for SOCKS, "\[bind_address:\]port" in quotes'):
        remote([8080])


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("8080", r"expected \[bind_address:\]port:host:hostport, got '8080'"),
        ("80a:web:80", "expected a port from 1 to 65535, got '80a' in '80a:web:80'"),
        (8080, r'expected "\[bind_address:\]port:host:hostport" in quotes, got 8080'),
        ({"connect": "web:80"}, r"'listen' is missing"),
        ({"listen": 8080}, "'connect' is missing: the target of the clients"),
        ({"listen": 0, "connect": "web:80"}, "expected a port from 1 to 65535, got 0"),
        ({"listen": "0", "connect": "web:80"}, "expected a port from 1 to 65535, got 0"),
        ({"listen": True, "connect": "web:80"}, "expected a port from 1 to 65535, got true"),
        ({"listen": "1:b:2", "connect": "web:80"}, r"expected \[bind_address:\]port or a path"),
        ({"listen": 1, "connect": 80}, 'expected "host:port" or a path, in quotes, got 80'),
        ({"listen": 1, "connect": "web"}, "expected host:port or a path, got 'web'"),
        ({"listen": 1, "conect": "web:80"}, "unknown key; did you mean 'connect'"),
    ],
)
def test_a_bad_local_forward_says_what_was_expected(value: object, message: str) -> None:
    with pytest.raises(InvalidValueError, match=message):
        local(value)


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("8080:web:80", r"expected \[bind_address:\]port, got '8080:web:80'"),
        (0, "expected a port from 1 to 65535, got 0"),
        (True, "expected a port from 1 to 65535, got true"),
        ({"listen": 0}, "expected a port from 1 to 65535, got 0"),
        ({"listen": 1, "connect": "web:80"}, "leave it out: each client of a SOCKS proxy"),
    ],
)
def test_a_bad_socks_forward_says_what_was_expected(value: object, message: str) -> None:
    with pytest.raises(InvalidValueError, match=message):
        socks(value)


def test_a_bad_end_is_named_by_its_place() -> None:
    with pytest.raises(InvalidValueError) as caught:
        local(["8080:web:80", {"listen": 70000, "connect": "web:x"}])

    assert [fault.key_path for fault in caught.value.problems] == [(1, "listen"), (1, "connect")]


def test_all_that_is_wrong_with_a_table_is_said_together() -> None:
    bad = {"listen": 70000, "check": "udp", "check_interval": 0, "check_failures": 0}

    with pytest.raises(InvalidValueError) as caught:
        local(bad)

    places = [("listen",), ("check_interval",), ("check_failures",), (), ("check",)]
    assert [fault.key_path for fault in caught.value.problems] == places


def test_each_setting_of_a_check_that_is_not_there_is_named() -> None:
    with pytest.raises(InvalidValueError) as caught:
        local({"listen": 1, "connect": "web:80", "check_interval": 5, "check_timeout": 5})

    assert [fault.key_path for fault in caught.value.problems] == [
        ("check_interval",),
        ("check_timeout",),
    ]


# -- checks ----------------------------------------------------------------------------------------


def test_a_forward_in_the_form_of_a_table_may_have_a_check_and_its_own_settings_for_it() -> None:
    table = {"listen": 8080, "connect": "web:80", "check": "tcp", "check_interval": "5m"}

    assert local(table) == (Entry(LocalForward(HERE, WEB), TcpProbe(), {"check_interval": 300.0}),)
    assert remote({"listen": 8080, "check": "tcp"}) == (
        Entry(RemoteSocksForward(HERE), TcpProbe()),
    )


def test_the_check_of_a_socks_proxy_names_the_target() -> None:
    [entry] = socks({"listen": 8080, "check": "http://web/health"})

    assert entry.probe == HttpProbe("web", "/health", WEB)


@pytest.mark.parametrize(
    ("table", "at", "message"),
    [
        ({"check": "udp"}, ("check",), "expected tcp or http://host/path, got 'udp'"),
        ({"check": "https://web/"}, ("check",), "https is not supported"),
        ({"check": ""}, ("check",), "expected a string, got an empty one"),
        ({"check": True}, ("check",), "expected a string in quotes, got true"),
        ({"check": "tcp", "check_failures": 0}, ("check_failures",), "at least 1, got 0"),
        ({"check": "tcp", "check_interval": 0}, ("check_interval",), "more than 0 seconds"),
        ({"check": "tcp", "check_timeout": "soon"}, ("check_timeout",), "expected a duration"),
        ({"check_interval": 5}, ("check_interval",), "has no effect without 'check'"),
        ({"chek": "tcp"}, ("chek",), "did you mean 'check'"),
    ],
)
def test_a_bad_check_is_named_by_its_key(
    table: dict[str, object], at: tuple[str, ...], message: str
) -> None:
    with pytest.raises(InvalidValueError, match=message) as caught:
        local({"listen": 8080, "connect": "web:80", **table})

    assert [fault.key_path for fault in caught.value.problems] == [at]
