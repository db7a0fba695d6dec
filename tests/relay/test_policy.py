"""The policy for one request: permits of the relay, options of the key, and bound ports."""

import socket
from collections.abc import Callable, Iterable
from ipaddress import IPv4Address, IPv6Address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.relay import address_spellings
from tests.relay.test_addresses import closed_ipv4, closed_ipv6
from tunnelkeeper.relay.key_options import KeyOptions
from tunnelkeeper.relay.permits import ANYTHING, Permit, parse_listen, parse_open
from tunnelkeeper.relay.policy import (
    Bound,
    GatewayPorts,
    Refusal,
    bind_host,
    check_listen,
    check_listen_path,
    check_open,
    check_open_path,
    check_reserved_port,
)

PathRule = Callable[[str, str, Iterable[Permit], KeyOptions], Refusal | None]

UNRESTRICTED = KeyOptions()
NO_FORWARDING = KeyOptions(port_forwarding=False)
FOLDER = "/run/relay"


def open_permits(*permits: str) -> tuple[Permit, ...]:
    return tuple(map(parse_open, permits))


def listen_permits(*permits: str) -> tuple[Permit, ...]:
    return tuple(map(parse_listen, permits))


@pytest.mark.parametrize(
    ("requested", "no", "yes", "clientspecified"),
    [
        ("", "localhost", "*", "*"),
        ("*", "localhost", "*", "*"),
        ("localhost", "localhost", "*", "localhost"),
        ("127.0.0.1", "127.0.0.1", "*", "127.0.0.1"),
        ("::1", "::1", "*", "::1"),
        ("0.0.0.0", "localhost", "*", "0.0.0.0"),
        ("::", "localhost", "*", "::"),
        ("192.0.2.1", "localhost", "*", "192.0.2.1"),
        ("relay.example.com", "localhost", "*", "relay.example.com"),
        ("127.0.0.2", "localhost", "*", "127.0.0.2"),
    ],
)
def test_gateway_ports_changes_the_bind_host_as_sshd_does(
    requested: str, no: str, yes: str, clientspecified: str
) -> None:
    assert bind_host("no", requested) == no
    assert bind_host("yes", requested) == yes
    assert bind_host("clientspecified", requested) == clientspecified


@given(st.text())
def test_without_gateway_ports_only_loopback_is_bound(requested: str) -> None:
    assert bind_host("no", requested) in {"localhost", "127.0.0.1", "::1"}


@pytest.mark.parametrize("setting", ["no", "yes", "clientspecified"])
@pytest.mark.parametrize("host", ["", "*", "localhost", "home", "::1", "0.0.0.0", "a.example"])
def test_by_default_any_port_may_be_listened_on(setting: GatewayPorts, host: str) -> None:
    assert check_listen(host, 8080, [ANYTHING], UNRESTRICTED) is None
    assert bind_host(setting, host)


@pytest.mark.parametrize(
    ("host", "port", "permits", "options", "message"),
    [
        ("localhost", 65616, ("*",), UNRESTRICTED, "65616 is not a port"),
        ("localhost", -1, ("*",), UNRESTRICTED, "-1 is not a port"),
        ("a" * 300, 80, ("*",), UNRESTRICTED, f"'{'a' * 79}…' is not a host name or address"),
        ("a..b", 80, ("*",), UNRESTRICTED, "'a..b' is not a host name or address"),
        ("\x1b[2J", 80, ("*",), UNRESTRICTED, r"'\x1b[2J' is not a host name or address"),
        ("localhost", 80, ("*",), NO_FORWARDING, "this key may not forward ports"),
        (
            "localhost",
            81,
            ("80",),
            UNRESTRICTED,
            "listening on 'localhost' port 81 is not permitted",
        ),
        ("localhost", 80, (), UNRESTRICTED, "listening on 'localhost' port 80 is not permitted"),
        ("", 81, ("80",), UNRESTRICTED, "listening on '' port 81 is not permitted"),
        ("localhost", 0, ("80",), UNRESTRICTED, "listening on 'localhost' port 0 is not permitted"),
        ("home", 23, ("home:22",), UNRESTRICTED, "listening on 'home' port 23 is not permitted"),
        (
            "localhost",
            80,
            ("*",),
            KeyOptions(permit_listen=listen_permits("home:22")),
            "listening on 'localhost' port 80 is not permitted",
        ),
        (
            "localhost",
            80,
            ("8080",),
            KeyOptions(permit_listen=listen_permits("80")),
            "listening on 'localhost' port 80 is not permitted",
        ),
    ],
)
def test_a_refusal_to_listen_says_why(
    host: str, port: int, permits: tuple[str, ...], options: KeyOptions, message: str
) -> None:
    assert check_listen(host, port, listen_permits(*permits), options) == Refusal(message)


def test_listening_needs_the_permits_of_both_key_and_relay() -> None:
    options = KeyOptions(permit_listen=listen_permits("home:22", "8080"), permit_open=())

    assert check_listen("home", 22, listen_permits("*:22", "localhost:*"), options) is None
    assert check_listen("localhost", 8080, listen_permits("*:22", "localhost:*"), options) is None
    assert check_listen("*", 8080, listen_permits("*:22", "localhost:*"), options) is not None


@pytest.mark.parametrize(
    ("host", "port", "resolved", "permits", "options", "message"),
    [
        ("db", 0, (), ("*:*",), UNRESTRICTED, "0 is not a port"),
        ("db", 65616, (), ("*:*",), UNRESTRICTED, "65616 is not a port"),
        ("", 80, (), ("*:*",), UNRESTRICTED, "'' is not a host name or address"),
        ("*", 80, (), ("*:*",), UNRESTRICTED, "'*' is not a host name or address"),
        ("a" * 64, 80, (), ("*:*",), UNRESTRICTED, f"'{'a' * 64}' is not a host name or address"),
        ("hö", 80, (), ("*:*",), UNRESTRICTED, "'hö' is not a host name or address"),
        ("a\0b", 80, (), ("*:*",), UNRESTRICTED, r"'a\x00b' is not a host name or address"),
        ("db", 80, (), ("*:*",), NO_FORWARDING, "this key may not forward ports"),
        ("db", 80, (), ("db:81",), UNRESTRICTED, "opening 'db' port 80 is not permitted"),
        ("db", 80, (), (), UNRESTRICTED, "opening 'db' port 80 is not permitted"),
        (
            "db",
            80,
            (),
            ("*:*",),
            KeyOptions(permit_open=open_permits("db:81")),
            "opening 'db' port 80 is not permitted",
        ),
        (
            "db",
            80,
            ("192.0.2.1", "127.0.0.1"),
            ("*:*",),
            UNRESTRICTED,
            "127.0.0.1 is the relay's own loopback, which is closed",
        ),
        (
            "db",
            80,
            ("::ffff:a9fe:a9fe",),
            ("*:*",),
            UNRESTRICTED,
            "169.254.169.254 is a cloud's metadata service, which is closed",
        ),
        ("db", 80, ("gone",), ("*:*",), UNRESTRICTED, "'gone' is not an address"),
    ],
)
def test_a_refusal_to_open_says_why(
    host: str,
    port: int,
    resolved: tuple[str, ...],
    permits: tuple[str, ...],
    options: KeyOptions,
    message: str,
) -> None:
    assert check_open(host, port, resolved, open_permits(*permits), options) == Refusal(message)


@pytest.mark.parametrize(
    ("host", "resolved"),
    [
        ("db.example.com", ["192.0.2.1", "2001:db8::1"]),
        ("db.example.com.", ["192.0.2.1"]),
        ("intranet", ["192.0.2.1"]),
        ("192.0.2.1", ["192.0.2.1"]),
        ("2001:db8::1", ["2001:db8::1"]),
        ("home", []),
    ],
)
def test_by_default_other_machines_may_be_opened(host: str, resolved: list[str]) -> None:
    assert check_open(host, 443, resolved, [ANYTHING], UNRESTRICTED) is None


@pytest.mark.parametrize(
    ("permits", "host", "port", "resolved", "expected"),
    [
        (["localhost:5432"], "localhost", 5432, ["127.0.0.1", "::1"], True),
        (["*:*", "localhost:5432"], "localhost", 5432, ["127.0.0.1"], True),
        (["*:*", "localhost:5432"], "localhost", 5433, ["127.0.0.1"], False),
        (["*:*", "localhost:5432"], "127.0.0.1", 5432, ["127.0.0.1"], False),
        (["*:*", "localhost:*"], "localhost", 22, ["127.0.0.1"], True),
        (["*:*", "127.0.0.1:5432"], "127.0.0.1", 5432, ["127.0.0.1"], True),
        (["*:*", "127.0.0.1:5432"], "localhost", 5432, ["127.0.0.1"], True),
        (["*:*", "127.0.0.1:5432"], "localhost", 5432, ["::1"], False),
        (["*:*", "[0:0:0:0:0:0:0:1]:5432"], "::1", 5432, ["::1"], True),
        (["*:*", "169.254.169.254:80"], "169.254.169.254", 80, ["169.254.169.254"], True),
        # Every host with one port does not name a host.
        (["*:5432"], "localhost", 5432, ["127.0.0.1"], False),
    ],
)
def test_a_closed_address_named_by_the_relay_is_open(
    permits: list[str], host: str, port: int, resolved: list[str], expected: bool
) -> None:
    refusal = check_open(host, port, resolved, open_permits(*permits), UNRESTRICTED)

    assert (refusal is None) is expected


def test_a_permitopen_of_a_key_does_not_open_closed_addresses() -> None:
    options = KeyOptions(permit_open=open_permits("localhost:5432"))

    assert check_open("localhost", 5432, ["127.0.0.1"], [ANYTHING], options) is not None


@pytest.mark.parametrize(
    ("bindings", "address", "expected"),
    [
        ([("127.0.0.1", 2222)], "127.0.0.1", True),
        ([("127.0.0.1", 2222)], "::ffff:127.0.0.1", True),
        ([("127.0.0.1", 2222)], "::1", False),
        ([("127.0.0.1", 2222)], "127.0.0.2", False),
        ([("127.0.0.1", 2223)], "127.0.0.1", False),
        ([("0.0.0.0", 2222)], "127.0.0.1", True),
        ([("0.0.0.0", 2222)], "::1", False),
        ([("::", 2222)], "::1", True),
        ([("::", 2222)], "127.0.0.1", False),
        # The relay's own interface.
        ([("0.0.0.0", 2222)], "203.0.113.5", True),
        ([("203.0.113.5", 2222)], "203.0.113.5", True),
        ([("127.0.0.1", 2222)], "203.0.113.5", False),
        ([("0.0.0.0", 2222)], "10.0.0.5", True),
        ([("0.0.0.0", 2222)], "10.0.0.6", False),
        # These reach a listener that no client of this relay has bound.
        ([("0.0.0.0", 2222)], "169.254.169.254", False),
        ([("::", 2222)], "fe80::1", False),
        ([("::", 2222)], "64:ff9b::127.0.0.1", False),
        ([("0.0.0.0", 2222)], "0.0.0.0", False),
    ],
)
def test_a_port_bound_by_a_client_is_open(
    bindings: list[Bound], address: str, expected: bool
) -> None:
    refusal = check_open(
        "box", 2222, [address], [ANYTHING], UNRESTRICTED, bindings, ["203.0.113.5", "10.0.0.5"]
    )

    assert (refusal is None) is expected


@given(closed_ipv4, st.integers(1, 65535))
def test_no_closed_ipv4_address_passes_in_any_spelling(address: IPv4Address, port: int) -> None:
    for spelling in address_spellings.of_ipv4(address):
        for host in ("rebound.example.com", spelling):
            assert check_open(host, port, [spelling], [ANYTHING], UNRESTRICTED) is not None, (
                spelling
            )
            assert (
                check_open(host, port, ["192.0.2.1", spelling], [ANYTHING], UNRESTRICTED)
                is not None
            )


@given(closed_ipv6, st.integers(1, 65535))
def test_no_closed_ipv6_address_passes_in_any_spelling(address: IPv6Address, port: int) -> None:
    for spelling in address_spellings.of_ipv6(address):
        assert (
            check_open("rebound.example.com", port, [spelling], [ANYTHING], UNRESTRICTED)
            is not None
        )


@pytest.mark.parametrize("host", ["127.1", "0x7f.1", "2130706433", "0177.0.0.1"])
def test_unusual_spellings_are_checked_by_their_resolved_address(host: str) -> None:
    infos = socket.getaddrinfo(host, 80, family=socket.AF_INET, type=socket.SOCK_STREAM)
    resolved = [str(address[0]) for *_, address in infos]

    assert check_open(host, 80, resolved, [ANYTHING], UNRESTRICTED) is not None


@pytest.mark.parametrize(
    ("permits", "of_the_key", "is_allowed"),
    [
        (["*:*"], None, False),
        (["*:80"], None, True),
        (["*:443"], None, False),
        (["*:*"], ["80"], True),
        (["*:*"], ["localhost:80"], True),
        (["*:*"], ["other:80", "localhost:*"], False),
        ([], None, False),
    ],
)
def test_a_port_below_1024_needs_a_rule_with_its_number(
    permits: list[str], of_the_key: list[str] | None, is_allowed: bool
) -> None:
    granted = None if of_the_key is None else listen_permits(*of_the_key)
    options = KeyOptions(permit_listen=granted)

    refusal = check_reserved_port("localhost", 80, listen_permits(*permits), options)

    assert (refusal is None) == is_allowed
    assert is_allowed or 'permitlisten="80"' in str(refusal)


@pytest.mark.parametrize(
    ("port", "is_allowed"), [(0, True), (1, False), (1023, False), (1024, True)]
)
def test_only_ports_below_1024_are_reserved(port: int, is_allowed: bool) -> None:
    refusal = check_reserved_port("localhost", port, [ANYTHING], UNRESTRICTED)

    assert (refusal is None) == is_allowed


@pytest.mark.parametrize("may", [check_open_path, check_listen_path])
@pytest.mark.parametrize("path", ["/run/relay/a", "/run/relay/a/b.sock", "/run/relay/ü"])
def test_a_path_below_the_folder_may_be_used(may: PathRule, path: str) -> None:
    assert may(path, FOLDER, [ANYTHING], UNRESTRICTED) is None


@pytest.mark.parametrize("may", [check_open_path, check_listen_path])
@pytest.mark.parametrize(
    ("path", "folder", "message"),
    [
        ("/run/relay/a", "", "Unix sockets are not forwarded by this relay"),
        ("/run/other/a", FOLDER, "not below the folder"),
        ("/run/relay", FOLDER, "not below the folder"),
        ("/run/relay/", FOLDER, "not below the folder"),
        ("/run/relayed/a", FOLDER, "not below the folder"),
        ("/run/relay/../other/a", FOLDER, "not below the folder"),
        ("/run/relay/./a", FOLDER, "not below the folder"),
        ("/run/relay//a", FOLDER, "not below the folder"),
        ("//run/relay/a", FOLDER, "not below the folder"),
        ("run/relay/a", FOLDER, "not below the folder"),
        ("@abstract", FOLDER, "not below the folder"),
        ("", FOLDER, "not below the folder"),
        ("/run/relay/a\0", FOLDER, r"'/run/relay/a\x00' is not a valid socket path"),
        ("\0/run/relay/a", FOLDER, "is not a valid socket path"),
        ("/run/relay/\ud800", FOLDER, "is not a valid socket path"),
        ("/run/relay/" + "a" * 97, FOLDER, "is not a valid socket path"),
        ("/run/relay/" + "ü" * 49, FOLDER, "is not a valid socket path"),
    ],
)
def test_a_path_outside_the_folder_is_refused(
    may: PathRule, path: str, folder: str, message: str
) -> None:
    refusal = may(path, folder, [ANYTHING], UNRESTRICTED)

    assert refusal is not None
    assert message in str(refusal)
    assert str(refusal).isprintable()


def test_permits_apply_to_paths_in_their_direction() -> None:
    options = KeyOptions(
        permit_listen=listen_permits("/run/relay/a"), permit_open=open_permits("db:80")
    )

    assert check_listen_path("/run/relay/a", FOLDER, [ANYTHING], options) is None
    assert str(check_listen_path("/run/relay/b", FOLDER, [ANYTHING], options)) == (
        "listening on '/run/relay/b' is not permitted"
    )
    assert str(check_open_path("/run/relay/a", FOLDER, [ANYTHING], options)) == (
        "opening '/run/relay/a' is not permitted"
    )
    assert (
        check_open_path("/run/relay/a", FOLDER, open_permits("/run/relay/?"), UNRESTRICTED) is None
    )
    assert check_open_path("/run/relay/a", FOLDER, open_permits("db:80"), UNRESTRICTED) is not None
    assert check_open_path("/run/relay/a", FOLDER, [ANYTHING], NO_FORWARDING) is not None


@given(st.text(), st.integers(), st.lists(st.text(), max_size=3))
def test_no_request_of_a_client_raises(host: str, port: int, resolved: list[str]) -> None:
    for refusal in (
        check_listen(host, port, [ANYTHING], UNRESTRICTED),
        check_open(host, port, resolved, [ANYTHING], UNRESTRICTED),
        check_open_path(host, FOLDER, [ANYTHING], UNRESTRICTED),
        check_listen_path(f"{FOLDER}/{host}", FOLDER, [ANYTHING], UNRESTRICTED),
    ):
        assert refusal is None or str(refusal).isprintable()


@given(st.text(max_size=80), st.integers(1, 65535))
def test_an_accepted_host_can_be_passed_to_a_resolver(host: str, port: int) -> None:
    if check_open(host, port, [], [ANYTHING], UNRESTRICTED) is None:
        assert host.encode("idna")
