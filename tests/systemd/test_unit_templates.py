from __future__ import annotations

import re

import pytest

from tests.systemd.shipped import FOLDER, texts
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
STOPS_A_USER_UNIT = (
    "CapabilityBoundingSet",
    "PrivateDevices",
    "ProtectClock",
    "ProtectKernelModules",
    "ProtectKernelLogs",
    "DynamicUser",
)


def values(text: str, key: str) -> list[str]:
    """What a setting is set to, in the order of the lines."""
    return re.findall(rf"^{key}=(.*)$", text, re.MULTILINE)


def service(kind: UnitKind, wishes: UnitOptions) -> str:
    return next(
        text for name, text in unit_files(kind, wishes).items() if name.endswith(".service")
    )


def test_the_folder_holds_what_is_generated_for_the_defaults() -> None:
    shipped = {path.name: path.read_text() for path in FOLDER.iterdir()}

    assert shipped == texts()  # `make units` writes them anew


def test_every_file_is_marked_as_ours() -> None:
    assert sorted(texts()) == sorted(NAMES)
    assert all(map(is_ours, texts().values()))
    assert not is_ours(f"[Unit]\n{MARKER}\n")
    assert not is_ours("")


@each_kind
def test_a_service_is_never_given_up(kind: UnitKind) -> None:
    text = service(kind, UnitOptions(DEFAULT_PROGRAM))

    assert values(text, "Restart") == ["always"]
    assert values(text, "StartLimitIntervalSec") == ["0"]
    assert values(text, "Type") == ["notify"]
    assert values(text, "WatchdogSec")


@each_kind
def test_a_user_unit_has_nothing_that_keeps_it_from_starting(kind: UnitKind) -> None:
    text = service(kind, UnitOptions(DEFAULT_PROGRAM))

    assert not [key for key in STOPS_A_USER_UNIT if values(text, key)]
    assert not values(text, "ProtectSystem")
    assert not values(text, "StateDirectory")
    assert "network-online" not in text


@each_kind
def test_a_unit_of_the_system_has_a_user_and_waits_for_the_network(kind: UnitKind) -> None:
    text = service(kind, UnitOptions(DEFAULT_PROGRAM, is_system=True))

    assert values(text, "User") == ["tunnelkeeper"]
    assert "network-online.target" in values(text, "After")
    assert values(text, "WantedBy") == ["multi-user.target"]
    assert values(text, "StateDirectory") == ["tunnelkeeper"]


def test_a_unit_for_one_tunnel_has_a_socket_of_its_own_and_no_escaping() -> None:
    text = service(UnitKind.TUNNEL, UnitOptions(DEFAULT_PROGRAM, ready="up"))

    assert values(text, "ExecStart") == [
        "%h/.local/bin/tunnelkeeper --socket %t/tunnelkeeper@%i/socket up --ready up %i"
    ]
    assert values(text, "RuntimeDirectory") == ["tunnelkeeper@%i"]
    assert instance_name("a-b") == "tunnelkeeper@a-b.service"


def test_another_unit_is_started_at_each_failure_only_when_asked_for() -> None:
    asked = service(
        UnitKind.SUPERVISOR, UnitOptions(DEFAULT_PROGRAM, on_failure="alarm@%n.service")
    )

    assert not values(service(UnitKind.SUPERVISOR, UnitOptions(DEFAULT_PROGRAM)), "ExecStopPost")
    assert "start --no-block alarm@%n.service'" in values(asked, "ExecStopPost")[0]


def test_the_relays_socket_has_the_addresses_that_the_relay_would_listen_on() -> None:
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
def test_an_address_that_systemd_cannot_listen_on_is_refused(address: TcpAddress) -> None:
    with pytest.raises(UnquotableError, match=re.escape(str(address))):
        unit_files(UnitKind.RELAY, UnitOptions(DEFAULT_PROGRAM, listen=[address]))


@pytest.mark.parametrize(
    ("text", "is_one"),
    [
        ("alarm.service", True),
        ("alarm@%n.service", True),
        ("alarm", False),
        ("a b.service", False),
        ("x';reboot.service", False),
        ("", False),
    ],
)
def test_the_name_of_a_unit_is_told_from_other_text(text: str, is_one: bool) -> None:
    assert is_unit_name(text) is is_one
