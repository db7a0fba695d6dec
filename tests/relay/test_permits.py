"""permitopen, permitlisten, PermitOpen and PermitListen: syntax and decisions."""

from ipaddress import ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tunnelkeeper.relay.permits import (
    ANYTHING,
    HostPermit,
    NetworkPermit,
    PathPermit,
    Permit,
    PermitError,
    allow_listen,
    allow_open,
    allow_path,
    parse_listen,
    parse_network,
    parse_open,
)

ports = st.none() | st.integers(1, 65535)
hosts = st.from_regex(r"[a-z0-9.*?_-]{1,30}", fullmatch=True) | st.ip_addresses().map(str)
paths = st.lists(st.from_regex(r"[a-z0-9*_-]{1,8}", fullmatch=True), min_size=1).map(
    lambda parts: "/" + "/".join(parts)
)
permits = st.builds(HostPermit, hosts, ports) | st.builds(PathPermit, paths)


@pytest.mark.parametrize(
    ("text", "permit"),
    [
        ("192.0.2.1:80", HostPermit("192.0.2.1", 80)),  # the example of sshd(8)
        ("db.internal:5432", HostPermit("db.internal", 5432)),
        ("[2001:db8::1]:443", HostPermit("2001:db8::1", 443)),
        ("[::1]:*", HostPermit("::1", None)),
        ("*:80", HostPermit("*", 80)),
        ("*:*", ANYTHING),
        ("home:22", HostPermit("home", 22)),
        ("/run/x.sock", PathPermit("/run/x.sock")),
        ("/run/relay/*", PathPermit("/run/relay/*")),
    ],
)
def test_a_permit_is_read_the_same_for_both_directions(text: str, permit: Permit) -> None:
    assert parse_open(text) == permit
    assert parse_listen(text) == permit
    assert str(permit) == text


@pytest.mark.parametrize(
    ("text", "permit"),
    [
        ("8080", HostPermit("*", 8080)),
        ("*", ANYTHING),
        ("localhost:8080", HostPermit("localhost", 8080)),  # the examples of sshd(8)
        ("[::1]:22000", HostPermit("::1", 22000)),
    ],
)
def test_a_listen_permit_may_omit_the_host(text: str, permit: Permit) -> None:
    assert parse_listen(text) == permit


@pytest.mark.parametrize("text", ["8080", "*", "localhost", "none", "any", "[::1]"])
def test_a_permit_to_open_needs_host_and_port(text: str) -> None:
    with pytest.raises(PermitError, match="expected"):
        parse_open(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        ":",
        ":80",
        "host:",
        "host:0",
        "host:65536",
        "host:070000",
        "host:-1",
        "host:+80",
        "host: 80",
        "host:8_0",
        "host:http",
        "host:٨٠",
        "host:80,other:81",
        "host:80 other:81",
        "host/80",
        "::1:80",
        "[::1",
        "[::1]80",
        "[host]:80",
        "[]:80",
        "h ost:80",
        "hö:80",
        "[fe80::1]x:80",
        "a" * 1025 + ":80",
        "/",
        "/run/../etc/x",
        "/run//x",
        "/run/x/",
        "//run/x",
        "/run/\n",
        "run/x.sock",
    ],
)
def test_malformed_permits_are_refused_in_both_directions(text: str) -> None:
    for parse in (parse_open, parse_listen):
        with pytest.raises(PermitError, match="expected") as error_info:
            parse(text)

        assert str(error_info.value).isprintable()


@given(permits)
def test_a_permit_round_trips_through_its_text(permit: Permit) -> None:
    assert parse_open(str(permit)) == permit
    assert parse_listen(str(permit)) == permit


@given(st.text())
def test_any_text_is_a_permit_or_a_permit_error(text: str) -> None:
    for parse in (parse_open, parse_listen):
        try:
            permit = parse(text)
        except PermitError:
            continue
        assert parse(str(permit)) == permit


@pytest.mark.parametrize(
    ("permit", "host", "port", "expected"),
    [
        ("db:5432", "db", 5432, True),
        ("db:5432", "db", 5433, False),
        ("db:*", "db", 1, True),
        # "No pattern matching or name lookup is performed", "must be literal" (sshd(8)).
        ("*.example.com:80", "www.example.com", 80, False),
        ("d?:80", "db", 80, False),
        ("db:5432", "DB", 5432, False),
        ("localhost:80", "127.0.0.1", 80, False),
        ("127.0.0.1:80", "127.1", 80, False),
        ("[::1]:80", "::1", 80, True),
        ("[::1]:80", "0:0:0:0:0:0:0:1", 80, False),
        # "The wildcard '*' can be used for host or port" (sshd_config(5), PermitOpen).
        ("*:80", "anything", 80, True),
        ("*:80", "anything", 81, False),
        ("*:*", "anything", 65535, True),
        ("/run/x", "/run/x", 80, False),
    ],
)
def test_an_open_host_is_compared_literally(
    permit: str, host: str, port: int, expected: bool
) -> None:
    assert allow_open([parse_open(permit)], host, port) is expected


@pytest.mark.parametrize(
    ("permit", "host", "port", "expected"),
    [
        # A permit without a host allows every host, including those that gateway_ports changes.
        ("8080", "localhost", 8080, True),
        ("8080", "127.0.0.1", 8080, True),
        ("8080", "", 8080, True),
        ("8080", "*", 8080, True),
        ("8080", "home", 8080, True),
        ("8080", "localhost", 8081, False),
        # "This name is treated differently to the explicit localhost addresses" (sshd(8)).
        ("localhost:8080", "localhost", 8080, True),
        ("localhost:8080", "127.0.0.1", 8080, False),
        ("localhost:8080", "::1", 8080, False),
        ("localhost:8080", "", 8080, False),
        ("127.0.0.1:8080", "localhost", 8080, False),
        ("[::1]:22000", "::1", 22000, True),
        # "Hostnames may include wildcards" (sshd(8)).
        ("*.example.com:80", "www.example.com", 80, True),
        ("box-??:22", "box-07", 22, True),
        ("box-??:22", "box-7", 22, False),
        ("localhost:8080", "LOCALHOST", 8080, True),
        ("Home:22", "home", 22, True),
        # Port 0, for a port that the server chooses, needs a permit for every port.
        ("localhost:*", "localhost", 0, True),
        ("8080", "localhost", 0, False),
        ("*", "localhost", 0, True),
        ("/run/x", "/run/x", 80, False),
    ],
)
def test_a_listen_host_is_matched_with_patterns(
    permit: str, host: str, port: int, expected: bool
) -> None:
    assert allow_listen([parse_listen(permit)], host, port) is expected


@pytest.mark.parametrize(
    ("permit", "path", "expected"),
    [
        ("/run/relay/a", "/run/relay/a", True),
        ("/run/relay/a", "/run/relay/ab", False),
        ("/run/relay/*", "/run/relay/ab", True),
        ("/run/relay/*", "/run/other/ab", False),
        ("*:*", "/run/relay/a", True),
        ("*:80", "/run/relay/a", False),
        ("localhost:*", "/run/relay/a", False),
    ],
)
def test_a_path_must_be_named_unless_everything_is_permitted(
    permit: str, path: str, expected: bool
) -> None:
    assert allow_path([parse_open(permit)], path) is expected


def test_case_is_ignored_for_ascii_only() -> None:
    assert not allow_listen([parse_listen("kiosk:22")], "\N{KELVIN SIGN}iosk", 22)


@given(st.text(), st.integers())
def test_an_empty_list_of_permits_allows_nothing(host: str, port: int) -> None:
    assert not allow_open([], host, port)
    assert not allow_listen([], host, port)
    assert not allow_path([], host)


@given(st.lists(permits), permits, hosts, st.integers(0, 65535))
def test_an_additional_permit_never_restricts(
    granted: list[Permit], further: Permit, host: str, port: int
) -> None:
    for allow in (allow_open, allow_listen):
        assert allow([*granted, further], host, port) >= allow(granted, host, port)


@pytest.mark.parametrize(
    ("text", "network", "port"),
    [
        ("10.0.0.0/8:22", "10.0.0.0/8", 22),
        ("192.168.1.0/24:*", "192.168.1.0/24", None),
        ("[fd00::/8]:443", "fd00::/8", 443),
    ],
)
def test_a_network_is_read_and_written(text: str, network: str, port: int | None) -> None:
    permit = parse_network(text)

    assert permit == NetworkPermit(ip_network(network), port)
    assert str(permit) == text


@pytest.mark.parametrize("text", ["*:*", "db:22", "[::1]:22", "/run/relay/a:b", "10.0.0.1:22", ""])
def test_a_permit_without_a_network_is_left_to_the_other_parsers(text: str) -> None:
    assert parse_network(text) is None


@pytest.mark.parametrize(
    "text",
    [
        "10.0.0.1/8:22",
        "10.0.0.0/33:22",
        "10.0.0.0/8:0",
        "10.0.0.0/8:",
        "10.0.0.0/255.0.0.0:22",
        "fd00::/8:22",
        "[10.0.0.0/8]:22",
        "[fd00::/8:22",
        "fd00::/8]:22",
        "a/b:22",
    ],
)
def test_a_malformed_network_is_refused(text: str) -> None:
    with pytest.raises(PermitError, match="expected"):
        parse_network(text)
