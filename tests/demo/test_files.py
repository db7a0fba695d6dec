"""The demo's files: free ports, temporary keys and valid configurations."""

from __future__ import annotations

import stat
from typing import TYPE_CHECKING

import pytest

from tunnelkeeper.config import load_with_warnings
from tunnelkeeper.demo.files import DemoFiles, Ports, find_free_ports
from tunnelkeeper.relay import config as relay_config

if TYPE_CHECKING:
    from pathlib import Path

PORTS = Ports(relay=1, inner=2, local=3, remote=4, socks=5, chain=6, reverse=7)


@pytest.fixture
def files(tmp_path: Path) -> DemoFiles:
    files = DemoFiles(tmp_path, PORTS, web_port=80)
    files.write_all()
    return files


def test_no_port_is_returned_twice() -> None:
    ports = find_free_ports()
    given = [getattr(ports, name) for name in Ports.__slots__]

    assert len(set(given)) == len(given)


def test_the_supervisor_s_config_loads_without_a_warning(files: DemoFiles) -> None:
    configuration, warnings = load_with_warnings(files.config_path)

    assert not warnings
    assert list(configuration.tunnels) == ["local", "remote", "socks", "chain", "box", "visit"]


def test_every_demo_tunnel_is_configured_and_has_a_command(files: DemoFiles) -> None:
    configuration, _ = load_with_warnings(files.config_path)

    assert {tunnel.name for tunnel in files.tunnels} <= set(configuration.tunnels)
    assert all(str(tunnel.entry_point.port) in tunnel.command for tunnel in files.tunnels)


@pytest.mark.parametrize("name", ["relay", "inner"])
def test_the_configs_of_the_relays_load(files: DemoFiles, name: str) -> None:
    relay = relay_config.load(files.relay_config_path(name))

    assert relay.listen


def test_private_keys_have_mode_0600(files: DemoFiles) -> None:
    for key in ("client_key", "relay/host_key", "inner/host_key"):
        assert stat.S_IMODE((files.directory / key).stat().st_mode) == 0o600
