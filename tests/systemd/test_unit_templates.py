from __future__ import annotations

import re

import pytest

from tests.systemd.shipped import UNITS_DIRECTORY, generate_unit_texts
from tunnelkeeper.core.forward_spec import TcpAddress
from tunnelkeeper.systemd.quoting import UnquotableError
from tunnelkeeper.systemd.unit_templates import (
    DEFAULT_PROGRAM,
    MARKER,
    NAMES,
    RELAY_SOCKET,
    UnitKind,
    UnitOptions,
    instance_name,
    is_ours,
    is_unit_name,
    unit_files,
)

each_kind = pytest.mark.parametrize("kind", UnitKind)
UNSUPPORTED_IN_USER_UNITS = (
    "CapabilityBoundingSet",
    "PrivateDevices",
    "ProtectClock",
    "ProtectKernelModules",
    "ProtectKernelLogs",
    "DynamicUser",
)


def values(text: str, key: str) -> list[str]:
    """Return the values of a setting, in file order."""
    return re.findall(rf"^{key}=(.*)$", text, re.MULTILINE)


def service(kind: UnitKind, options: UnitOptions) -> str:
    return next(
        text for name, text in unit_files(kind, options).items() if name.endswith(".service")
    )


def test_the_shipped_units_are_those_generated_with_default_options() -> None:
    shipped = {path.name: path.read_text() for path in UNITS_DIRECTORY.iterdir()}

    assert shipped == generate_unit_texts()  # `make units` rewrites them


def test_every_file_has_our_marker() -> None:
    assert sorted(generate_unit_texts()) == sorted(NAMES)
    assert all(map(is_ours, generate_unit_texts().values()))
    assert not is_ours(f"[Unit]\n{MARKER}\n")
    assert not is_ours("")


@each_kind
def test_a_service_is_always_restarted(kind: UnitKind) -> None:
    text = service(kind, UnitOptions(DEFAULT_PROGRAM))

    assert values(text, "Restart") == ["always"]
    assert values(text, "StartLimitIntervalSec") == ["0"]
    assert values(text, "Type") == ["notify"]
    assert values(text, "WatchdogSec")


@each_kind
def test_a_user_unit_has_only_settings_that_user_units_support(kind: UnitKind) -> None:
    text = service(kind, UnitOptions(DEFAULT_PROGRAM))

    assert not [key for key in UNSUPPORTED_IN_USER_UNITS if values(text, key)]
    assert not values(text, "ProtectSystem")
    assert not values(text, "StateDirectory")
    assert "network-online" not in text


@each_kind
def test_a_system_unit_has_a_user_and_waits_for_the_network(kind: UnitKind) -> None:
    text = service(kind, UnitOptions(DEFAULT_PROGRAM, is_system=True))

    name = "tunnelkeeper-relay" if kind is UnitKind.RELAY else "tunnelkeeper"
    assert values(text, "User") == [name]
    assert "network-online.target" in values(text, "After")
    assert values(text, "WantedBy") == ["multi-user.target"]
    assert values(text, "StateDirectory") == [name]


def test_supervisor_and_relay_share_no_folder() -> None:
    options = UnitOptions(DEFAULT_PROGRAM, is_system=True)
    supervisor, relay = service(UnitKind.SUPERVISOR, options), service(UnitKind.RELAY, options)

    for key in ("RuntimeDirectory", "StateDirectory"):
        assert values(supervisor, key) == ["tunnelkeeper"]
        assert values(relay, key) == ["tunnelkeeper-relay"]
    assert "%t/tunnelkeeper-relay/relay.sock" in values(relay, "ExecStart")[0]


@pytest.mark.parametrize(
    ("program", "protect_home"),
    [("/usr/local/bin/tunnelkeeper", "yes"), ("/home/ann/.local/bin/tunnelkeeper", "read-only")],
)
def test_the_relay_of_the_system_sees_no_home_unless_the_program_is_in_one(
    program: str, protect_home: str
) -> None:
    text = service(UnitKind.RELAY, UnitOptions([program], is_system=True))

    assert values(text, "ProtectHome") == [protect_home]
    assert values(text, "DynamicUser") == ["yes"]


def test_a_per_tunnel_unit_has_its_own_socket_and_no_escaping() -> None:
    text = service(UnitKind.TUNNEL, UnitOptions(DEFAULT_PROGRAM, ready="up"))

    assert values(text, "ExecStart") == [
        "%h/.local/bin/tunnelkeeper --socket %t/tunnelkeeper@%i/socket up --ready up %i"
    ]
    assert values(text, "RuntimeDirectory") == ["tunnelkeeper@%i"]
    assert instance_name("a-b") == "tunnelkeeper@a-b.service"


def test_on_failure_starts_another_unit_only_if_configured() -> None:
    with_on_failure = service(
        UnitKind.SUPERVISOR, UnitOptions(DEFAULT_PROGRAM, on_failure="alarm@%n.service")
    )

    assert not values(service(UnitKind.SUPERVISOR, UnitOptions(DEFAULT_PROGRAM)), "ExecStopPost")
    assert "start --no-block alarm@%n.service'" in values(with_on_failure, "ExecStopPost")[0]


def test_the_relay_socket_has_the_listen_addresses_of_the_relay() -> None:
    listen = (
        TcpAddress("192.0.2.1", 22),
        TcpAddress("localhost", 23),
        TcpAddress("*", 24),
        TcpAddress("fe80::1%eth0", 25),
    )
    socket = unit_files(UnitKind.RELAY, UnitOptions(DEFAULT_PROGRAM, listen=listen))[RELAY_SOCKET]

    assert values(socket, "ListenStream") == [
        *("192.0.2.1:22", "127.0.0.1:23", "[::1]:23", "0.0.0.0:24", "[::]:24"),
        "[fe80::1%%eth0]:25",
    ]


@pytest.mark.parametrize("address", [TcpAddress("relay.example.com", 22), TcpAddress("::", 0)])
def test_an_address_that_systemd_does_not_support_is_refused(address: TcpAddress) -> None:
    with pytest.raises(UnquotableError, match=re.escape(str(address))):
        unit_files(UnitKind.RELAY, UnitOptions(DEFAULT_PROGRAM, listen=[address]))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("alarm.service", True),
        ("alarm@%n.service", True),
        ("alarm", False),
        ("a b.service", False),
        ("x';reboot.service", False),
        ("", False),
    ],
)
def test_is_unit_name_accepts_only_unit_names(text: str, expected: bool) -> None:
    assert is_unit_name(text) is expected
