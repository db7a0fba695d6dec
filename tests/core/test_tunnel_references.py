from __future__ import annotations

import pytest

from tunnelkeeper.config import parse
from tunnelkeeper.core.tunnel_references import find_references, find_unused_hosts

GONE = """
[tunnels.gone]
host = "relay"
local = ["2222:box:22", "*:2223:box:22", "10.0.0.1:2224:box:22"]
socks = 1080
"""


def references(text: str) -> list[str]:
    return find_references(parse(GONE + text, ""), ["gone"])


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ('host = "me@localhost:2222"', "localhost:2222"),
        ('host = "me@127.0.0.1"\nport = 2223', "127.0.0.1:2223"),
        ('host = "box"\nhostname = "127.0.0.1"\nport = [22, 2222]', "127.0.0.1:2222"),
        ('host = "box"\njump = ["me@localhost:2222"]', "localhost:2222"),
        ('host = "alias"\n[hosts.alias]\nhostname = "::1"\nport = 2222', "::1:2222"),
    ],
)
def test_a_tunnel_through_a_port_of_a_removed_one_is_reported(text: str, address: str) -> None:
    assert references(f"[tunnels.b]\n{text}\n") == [f"b connects to {address}, where gone listened"]


@pytest.mark.parametrize(
    "text",
    ['host = "me@localhost:22"', 'host = "me@other:2222"', 'host = "me@localhost:2224"'],
)
def test_other_hosts_and_ports_are_no_reference(text: str) -> None:
    assert references(f"[tunnels.b]\n{text}\n") == []


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ('[tunnels.b]\nhost = "h"\non_up = "tunnelkeeper restart gone"', "on_up of b"),
        ('[tunnels.b]\nhost = "h"\non_down = ["sh", "-c", "/x/tunnelkeeper up gone"]', "on_down"),
        ('[hosts.h]\npassword_command = ["tunnelkeeper", "logs", "gone"]', "password_command of"),
        ('[hosts.h]\nproxy_command = "tunnelkeeper connect gone %h:%p"', "of [hosts.h]"),
    ],
)
def test_a_command_that_names_a_removed_tunnel_is_reported(text: str, place: str) -> None:
    [sentence] = references(text)

    assert place in sentence
    assert sentence.endswith(" names gone")


@pytest.mark.parametrize("command", ["logger gone", "tunnelkeeper restart gone-2"])
def test_other_commands_are_no_reference(command: str) -> None:
    assert references(f'[tunnels.b]\nhost = "h"\non_up = "{command}"') == []


def test_a_host_that_only_removed_tunnels_use_is_unused() -> None:
    text = """
[hosts.relay]
jump = ["me@bastion", "inner"]
[hosts.bastion]
port = 22
[hosts.inner]
port = 22
[hosts.other]
port = 22
[hosts.never]
port = 22
[tunnels.gone]
host = "me@relay"
[tunnels.kept]
host = "other"
jump = ["bastion:22"]
"""
    configuration = parse(text, "")

    assert find_unused_hosts(configuration, ["gone"]) == ["relay", "inner"]
    assert find_unused_hosts(configuration, ["gone", "kept"]) == [
        "relay", "bastion", "inner", "other",
    ]  # fmt: skip
    assert find_unused_hosts(configuration, []) == []
