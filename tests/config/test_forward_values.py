"""Forwards written as strings, tables and bare ports."""

from __future__ import annotations

import socket
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
    from tunnelkeeper.config.parser import Reader

LISTEN = TcpAddress("localhost", 8080)
WEB = TcpAddress("web", 80)


def forwards(read: Reader[tuple[Entry, ...]], value: object) -> list[Forward]:
    """Return the forwards of a value that has no checks."""
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
def test_a_local_forward_can_be_a_string_a_list_or_a_table(value: object) -> None:
    assert forwards(local, value) == [LocalForward(LISTEN, WEB)]


def test_both_addresses_of_a_table_can_be_unix_sockets() -> None:
    value = {"listen": "/run/a.sock", "connect": "/run/b.sock"}
    addresses = UnixAddress("/run/a.sock"), UnixAddress("/run/b.sock")

    assert forwards(local, value) == [LocalForward(*addresses)]
    assert forwards(remote, value) == [RemoteForward(*addresses)]


def test_a_remote_forward_without_a_target_is_a_socks_proxy() -> None:
    for value in ("8080", {"listen": "8080"}, {"listen": 8080}):
        assert forwards(remote, value) == [RemoteSocksForward(LISTEN)]


def test_a_remote_forward_may_let_the_server_choose_the_port() -> None:
    expected = [RemoteForward(TcpAddress("localhost", 0), WEB)]

    assert forwards(remote, "0:web:80") == expected
    assert forwards(remote, {"listen": 0, "connect": "web:80"}) == expected


@pytest.mark.parametrize("value", [8080, [8080], "8080", ["8080"], {"listen": 8080}])
def test_a_socks_forward_may_be_a_bare_port(value: object) -> None:
    assert forwards(socks, value) == [SocksForward(LISTEN)]


def test_a_remote_port_must_be_quoted() -> None:
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
        ({"listen": 1, "conect": "web:80"}, "unknown key"),
    ],
)
def test_an_invalid_local_forward_reports_what_was_expected(value: object, message: str) -> None:
    with pytest.raises(InvalidValueError, match=message):
        local(value)


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("8080:web:80", r"expected \[bind_address:\]port, got '8080:web:80'"),
        (0, "expected a port from 1 to 65535, got 0"),
        (True, "expected a port from 1 to 65535, got true"),
        ({"listen": 0}, "expected a port from 1 to 65535, got 0"),
        ({"listen": 1, "connect": "web:80"}, "not allowed here: each client of a SOCKS proxy"),
    ],
)
def test_an_invalid_socks_forward_reports_what_was_expected(value: object, message: str) -> None:
    with pytest.raises(InvalidValueError, match=message):
        socks(value)


def test_an_invalid_address_is_reported_with_its_key_path() -> None:
    with pytest.raises(InvalidValueError) as caught:
        local(["8080:web:80", {"listen": 70000, "connect": "web:x"}])

    assert [problem.key_path for problem in caught.value.problems] == [
        (1, "listen"),
        (1, "connect"),
    ]


def test_all_problems_of_a_table_are_reported_together() -> None:
    invalid = {"listen": 70000, "check": "udp", "check_interval": 0, "check_failures": 0}

    with pytest.raises(InvalidValueError) as caught:
        local(invalid)

    key_paths = [("listen",), ("check_interval",), ("check_failures",), (), ("check",)]
    assert [problem.key_path for problem in caught.value.problems] == key_paths


def test_each_check_setting_without_a_check_is_reported() -> None:
    with pytest.raises(InvalidValueError) as caught:
        local({"listen": 1, "connect": "web:80", "check_interval": 5, "check_timeout": 5})

    assert [problem.key_path for problem in caught.value.problems] == [
        ("check_interval",),
        ("check_timeout",),
    ]


# -- checks ----------------------------------------------------------------------------------------


def test_a_forward_written_as_a_table_may_have_a_check_with_settings() -> None:
    table = {"listen": 8080, "connect": "web:80", "check": "tcp", "check_interval": "5m"}

    assert local(table) == (
        Entry(LocalForward(LISTEN, WEB), TcpProbe(), {"check_interval": 300.0}),
    )
    assert remote({"listen": 8080, "check": "tcp"}) == (
        Entry(RemoteSocksForward(LISTEN), TcpProbe()),
    )


def test_the_check_of_a_socks_proxy_contains_its_target() -> None:
    [entry] = socks({"listen": 8080, "check": "http://web/health"})

    assert entry.probe == HttpProbe("web", "/health", WEB)


@pytest.mark.parametrize(
    ("table", "key_path", "message"),
    [
        ({"check": "udp"}, ("check",), "expected tcp or http://host/path, got 'udp'"),
        ({"check": "https://web/"}, ("check",), "https is not supported"),
        ({"check": ""}, ("check",), "expected a string, got an empty one"),
        ({"check": True}, ("check",), "expected a string in quotes, got true"),
        ({"check": "tcp", "check_failures": 0}, ("check_failures",), "at least 1, got 0"),
        ({"check": "tcp", "check_interval": 0}, ("check_interval",), "more than 0 seconds"),
        ({"check": "tcp", "check_timeout": "soon"}, ("check_timeout",), "expected a duration"),
        ({"check_interval": 5}, ("check_interval",), "has no effect without 'check'"),
        ({"chek": "tcp"}, ("chek",), "unknown key"),
    ],
)
def test_an_invalid_check_is_reported_with_its_key(
    table: dict[str, object], key_path: tuple[str, ...], message: str
) -> None:
    with pytest.raises(InvalidValueError, match=message) as caught:
        local({"listen": 8080, "connect": "web:80", **table})

    assert [problem.key_path for problem in caught.value.problems] == [key_path]


def test_a_port_may_be_the_name_of_a_service(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket, "getservbyname", lambda name, _: {"web": 80}[name])

    (short,) = local("web:db:web")
    (table,) = local({"listen": "web", "connect": "db:web"})

    assert short.forward == table.forward
    assert str(short.forward) == "localhost:80:db:80"


@pytest.mark.parametrize("name", ["no-such-service", "a\0b", "8o80"])
def test_an_unknown_service_is_not_a_port(name: str) -> None:
    with pytest.raises(InvalidValueError, match="expected a port"):
        local(f"8080:db:{name}")


def test_a_forward_can_be_limited_to_users_and_passwords() -> None:
    web = {"listen": 8080, "connect": "web:80", "allow_users": ["root", 1000]}
    proxy = {"listen": 8080, "allow_users": "root", "password_file": "~/passwords"}

    assert forwards(local, web) == [LocalForward(LISTEN, WEB, (0, 1000))]
    assert forwards(socks, proxy) == [SocksForward(LISTEN, (0,), "~/passwords")]


@pytest.mark.parametrize(
    ("read", "table", "problem"),
    [
        (socks, {"allow_users": ["no such user"]}, "this machine has no user 'no such user'"),
        (socks, {"allow_users": []}, "expected a user, got an empty list"),
        (socks, {"allow_users": [-1]}, "a user name in quotes, or a user id"),
        (socks, {"password_file": "passwords"}, "a path that begins with / or ~"),
        (local, {"connect": "web:80", "password_file": "/p"}, "only `socks` has passwords"),
        (remote, {"allow_users": ["root"]}, "the server decides who may connect"),
    ],
)
def test_a_limit_that_cannot_work_is_refused(
    read: Reader[tuple[Entry, ...]], table: dict[str, object], problem: str
) -> None:
    with pytest.raises(InvalidValueError) as failed:
        read({"listen": 8080, **table})

    assert problem in str(failed.value.problems[0])
