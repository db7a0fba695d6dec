"""The demo's files: free ports, throwaway keys, and configurations that hold."""

from __future__ import annotations

import stat
from typing import TYPE_CHECKING

import pytest

from tunnelkeeper.config import load_with_warnings
from tunnelkeeper.demo.stage import Ports, Stage, free_ports
from tunnelkeeper.relay import config as relay_config

if TYPE_CHECKING:
    from pathlib import Path

PORTS = Ports(relay=1, inner=2, local=3, remote=4, socks=5, chain=6, reverse=7)


@pytest.fixture
def stage(tmp_path: Path) -> Stage:
    made = Stage(tmp_path, PORTS, web=80)
    made.write()
    return made


def test_no_port_is_given_twice() -> None:
    ports = free_ports()
    given = [getattr(ports, name) for name in Ports.__slots__]

    assert len(set(given)) == len(given)


def test_the_supervisors_file_loads_without_a_warning(stage: Stage) -> None:
    configuration, warnings = load_with_warnings(stage.config)

    assert not warnings
    assert list(configuration.tunnels) == ["local", "remote", "socks", "chain", "box", "visit"]


def test_every_act_is_a_tunnel_that_a_person_can_enter(stage: Stage) -> None:
    configuration, _ = load_with_warnings(stage.config)

    assert {act.tunnel for act in stage.acts} <= set(configuration.tunnels)
    assert all(str(act.entry.port) in act.command for act in stage.acts)


@pytest.mark.parametrize("name", ["relay", "inner"])
def test_the_relays_files_load(stage: Stage, name: str) -> None:
    relay = relay_config.load(stage.relay_config(name))

    assert relay.listen


def test_private_keys_are_their_owners_alone(stage: Stage) -> None:
    for key in ("client_key", "relay/host_key", "inner/host_key"):
        assert stat.S_IMODE((stage.folder / key).stat().st_mode) == 0o600
