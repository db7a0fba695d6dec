"""Forward specs in the syntax of -L, -R and -D."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tunnelkeeper.core.forward_spec import (
    EVERY_INTERFACE,
    LOOPBACK,
    Address,
    Forward,
    LocalForward,
    RemoteForward,
    RemoteSocksForward,
    SocksForward,
    SpecError,
    TcpAddress,
    UnixAddress,
    kind_of,
    parse_listen,
    parse_local,
    parse_remote,
    parse_socks,
    parse_target,
    target_of,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    Parser = Callable[[str], Forward | Address]

PARSERS = {
    "local": parse_local,
    "remote": parse_remote,
    "socks": parse_socks,
    "listen": parse_listen,
    "target": parse_target,
}
EACH_PARSER = pytest.mark.parametrize("parse", PARSERS.values(), ids=PARSERS)

DB = TcpAddress("db.internal", 5432)
SOCKET = UnixAddress("/run/db.sock")


def localhost(port: int) -> TcpAddress:
    return TcpAddress(LOOPBACK, port)


def everywhere(port: int) -> TcpAddress:
    return TcpAddress(EVERY_INTERFACE, port)


# -- the specs of ssh(1) ---------------------------------------------------------------------------

ENDS: list[tuple[str, Address, Address]] = [
    ("5432:db.internal:5432", localhost(5432), DB),
    ("localhost:5432:db.internal:5432", localhost(5432), DB),
    ("127.0.0.1:8080:10.0.0.1:80", TcpAddress("127.0.0.1", 8080), TcpAddress("10.0.0.1", 80)),
    ("*:5432:db.internal:5432", everywhere(5432), DB),
    (":5432:db.internal:5432", everywhere(5432), DB),
    ("[::1]:5432:db.internal:5432", TcpAddress("::1", 5432), DB),
    ("[::]:8080:[2001:db8::1]:80", TcpAddress("::", 8080), TcpAddress("2001:db8::1", 80)),
    ("8080:[fe80::1%eth0]:80", localhost(8080), TcpAddress("fe80::1%eth0", 80)),
    ("[gate]:5432:[db.internal]:5432", TcpAddress("gate", 5432), DB),
    ("5432:/run/db.sock", localhost(5432), SOCKET),
    ("*:5432:/run/db.sock", everywhere(5432), SOCKET),
    (":5432:/run/db.sock", everywhere(5432), SOCKET),
    ("[::1]:5432:/run/db.sock", TcpAddress("::1", 5432), SOCKET),
    ("/tmp/own.sock:/run/db.sock", UnixAddress("/tmp/own.sock"), SOCKET),
    ("/tmp/own.sock:db.internal:5432", UnixAddress("/tmp/own.sock"), DB),
    ("./own.sock:db.internal:5432", UnixAddress("./own.sock"), DB),
    ("[/run/at:12.sock]:db.internal:5432", UnixAddress("/run/at:12.sock"), DB),
    ("5432:[/run/at:12.sock]", localhost(5432), UnixAddress("/run/at:12.sock")),
]
LISTENERS: list[tuple[str, Address]] = [
    ("1080", localhost(1080)),
    ("localhost:1080", localhost(1080)),
    ("*:1080", everywhere(1080)),
    (":1080", everywhere(1080)),
    ("[::1]:1080", TcpAddress("::1", 1080)),
    ("192.0.2.7:1080", TcpAddress("192.0.2.7", 1080)),
    ("/run/socks.sock", UnixAddress("/run/socks.sock")),
]


@pytest.mark.parametrize(("spec", "listen", "connect"), ENDS)
def test_a_spec_with_two_ends_is_parsed_as_by_ssh(
    spec: str, listen: Address, connect: Address
) -> None:
    assert parse_local(spec) == LocalForward(listen, connect)
    assert parse_remote(spec) == RemoteForward(listen, connect)


@pytest.mark.parametrize(("spec", "listen"), LISTENERS)
def test_a_spec_without_a_destination_is_a_socks_proxy_on_either_side(
    spec: str, listen: Address
) -> None:
    assert parse_socks(spec) == SocksForward(listen)
    assert parse_remote(spec) == RemoteSocksForward(listen)
    assert parse_listen(spec) == listen


@pytest.mark.parametrize(
    ("text", "target"),
    [
        ("db.internal:5432", DB),
        ("[2001:db8::1]:80", TcpAddress("2001:db8::1", 80)),
        ("/run/db.sock", SOCKET),
        ("[/run/at:12.sock]", UnixAddress("/run/at:12.sock")),
    ],
)
def test_a_target_is_a_host_and_a_port_or_a_path(text: str, target: Address) -> None:
    assert parse_target(text) == target


def test_port_0_lets_the_server_choose() -> None:
    assert parse_remote("0:db.internal:5432") == RemoteForward(localhost(0), DB)
    assert parse_remote("*:0") == RemoteSocksForward(everywhere(0))


@pytest.mark.parametrize(
    ("forward", "kind", "target"),
    [
        (LocalForward(localhost(1), DB), "local", DB),
        (RemoteForward(localhost(1), SOCKET), "remote", SOCKET),
        (SocksForward(localhost(1)), "socks", None),
        (RemoteSocksForward(localhost(1)), "remote", None),
    ],
)
def test_the_kind_and_connect_target_of_a_forward(
    forward: Forward, kind: str, target: Address | None
) -> None:
    assert kind_of(forward) == kind
    assert target_of(forward) == target


# -- invalid specs ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("parse", "spec", "expected"),
    [
        (parse_local, "", "a port from 1 to 65535, got ''"),
        (parse_local, "8080", "[bind_address:]port:host:hostport, got '8080'"),
        (parse_local, "/run/db.sock", "[bind_address:]port:host:hostport"),
        (parse_local, "a:1:b:2:c", "[bind_address:]port:host:hostport, got 'a:1:b:2:c'"),
        (parse_local, "/tmp/own.sock:80", "[bind_address:]port:host:hostport"),
        (parse_local, "/tmp/own.sock:1:h:2", "a host name or address, got '/tmp/own.sock'"),
        (parse_local, "8080::80", "a host, got nothing in '8080::80'"),
        (parse_local, "0:db:80", "a port from 1 to 65535, got '0' in '0:db:80'"),
        (parse_local, "8080:db:0", "a port from 1 to 65535, got '0'"),
        (parse_local, "8080:db:65536", "a port from 1 to 65535, got '65536'"),
        (parse_local, "8080:db:http", "a port from 1 to 65535, got 'http'"),
        (parse_local, "8080:db:-1", "a port from 1 to 65535, got '-1'"),
        (parse_local, "8080:db:+80", "a port from 1 to 65535, got '+80'"),
        (parse_local, "8080:db:8_0", "a port from 1 to 65535, got '8_0'"),
        (parse_local, "8080:db:\N{ARABIC-INDIC DIGIT EIGHT}", "a port from 1 to 65535"),
        (parse_local, "8080:db:00000080", "a port from 1 to 65535"),
        (parse_local, "::1:8080:db:80", "[bind_address:]port:host:hostport"),
        (parse_local, "8080:d b:80", "a host name or address, got 'd b'"),
        (parse_local, "8080:d\x1bb:80", "a host name or address, got 'd\\x1bb'"),
        (parse_local, "8080:[::1:80", "[address] followed by a colon"),
        (parse_local, "8080:[::1]80", "[address] followed by a colon"),
        (parse_local, "8080:[]:80", "an address between the brackets"),
        (parse_local, "8080:/run/\x00db", "a socket path without control characters"),
        (parse_remote, "8080:db:0", "a port from 1 to 65535, got '0'"),
        (parse_socks, "1080:db:80", "[bind_address:]port, got '1080:db:80'"),
        (parse_socks, "0", "a port from 1 to 65535, got '0'"),
        (parse_listen, "1080:db:80", "[bind_address:]port or a path, got '1080:db:80'"),
        (parse_target, "db.internal", "host:port or a path, got 'db.internal'"),
        (parse_target, ":80", "host:port or a path, got ':80'"),
        (parse_target, "a:b:80", "host:port or a path"),
        (parse_target, "db:0", "a port from 1 to 65535, got '0'"),
        (parse_target, "/run/\ndb", "a socket path without control characters"),
    ],
)
def test_the_error_of_an_invalid_spec_states_what_was_expected(
    parse: Parser, spec: str, expected: str
) -> None:
    with pytest.raises(SpecError) as caught:
        parse(spec)

    assert str(caught.value).startswith(f"expected {expected}")


# -- properties ------------------------------------------------------------------------------------

HOSTS = (
    st.text("abcXYZ019._-", min_size=1)
    | st.just(EVERY_INTERFACE)
    | st.ip_addresses().map(str)
    | st.ip_addresses(v=6).map(lambda address: f"{address}%eth0")
)
PATHS = st.text("abc019._- []", max_size=20).map(lambda name: UnixAddress(f"/run/{name}"))
PATHS_WITH_COLONS = st.text("ab:/", max_size=9).map(lambda name: UnixAddress(f"/run/:{name}"))
TARGETS = st.builds(TcpAddress, HOSTS, st.integers(1, 65535)) | PATHS
ANY_PORT = st.builds(TcpAddress, HOSTS, st.integers(0, 65535)) | PATHS
FORWARDS: dict[str, tuple[Parser, st.SearchStrategy[Forward]]] = {
    "local": (parse_local, st.builds(LocalForward, TARGETS, TARGETS)),
    "remote": (parse_remote, st.builds(RemoteForward, ANY_PORT, TARGETS)),
    "socks": (parse_socks, st.builds(SocksForward, TARGETS)),
    "remote socks": (parse_remote, st.builds(RemoteSocksForward, ANY_PORT)),
}
FIELDS = [
    "",
    "*",
    "h",
    "0",
    "80",
    "[::1]",
    "[80]",
    "/s",
    "[/s]",
    "[/s:1]",
    "[[/s]",
    "[",
    "]",
    "\x1b",
]
LIKE_SPECS = st.lists(st.sampled_from(FIELDS), min_size=1, max_size=5).map(":".join)


@pytest.mark.parametrize("kind", FORWARDS)
@given(data=st.data())
def test_a_printed_forward_reads_back(kind: str, data: st.DataObject) -> None:
    parse, forwards = FORWARDS[kind]
    forward = data.draw(forwards)

    assert parse(str(forward)) == forward


@given(path=PATHS_WITH_COLONS)
def test_a_printed_path_with_colons_reads_back(path: UnixAddress) -> None:
    assert parse_target(str(path)) == path
    assert parse_local(f"{path}:db:80").listen == path


@EACH_PARSER
@given(text=st.text() | LIKE_SPECS)
def test_any_text_is_a_forward_that_reads_back_or_a_spec_error(parse: Parser, text: str) -> None:
    try:
        forward = parse(text)
    except SpecError as error:
        shown = str(error)
    else:
        shown = str(forward)
        assert parse(shown) == forward

    assert shown.isprintable()
