"""Unix sockets at either end of a forward, and the files they leave behind."""

from __future__ import annotations

import socket
import stat
from typing import TYPE_CHECKING

import pytest

from tests.e2e.clients import exchange, is_listening
from tests.e2e.ports import free_port
from tests.e2e.services import echo, sender
from tests.e2e.site import Site, tunnel_table

if TYPE_CHECKING:
    from pathlib import Path

    from tests.e2e.program import Program


def leave_stale_socket(path: Path) -> None:
    """Create a socket file without a listener."""
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen()


@pytest.fixture(scope="module")
def program(site_per_data_path: Site) -> Program:
    """Every pairing of TCP and Unix sockets, from either side; one file was there before."""
    here = site_per_data_path.directory
    tcp = site_per_data_path.service(echo)
    unix = site_per_data_path.service(echo, at=here / "target.sock")
    leave_stale_socket(here / "here-tcp.sock")
    local = [f"{here}/here-tcp.sock:{tcp}", f"{here}/here-unix.sock:{unix}"]
    remote = [f"{here}/there-tcp.sock:{tcp}", f"{here}/there-unix.sock:{unix}"]
    program = site_per_data_path.program(
        tunnel_table("t", site_per_data_path.sshd().port, f"local = {local}", f"remote = {remote}")
    )
    program.up()
    program.wait_until_up()
    return program


@pytest.mark.parametrize("name", ["here-tcp", "here-unix", "there-tcp", "there-unix"])
def test_a_socket_file_leads_to_the_target(
    program: Program, site_per_data_path: Site, name: str
) -> None:
    assert program.tunnel("t").state == "up"
    assert exchange(site_per_data_path.directory / f"{name}.sock", b"by path") == b"by path"


@pytest.mark.parametrize("name", ["here-tcp", "here-unix", "there-tcp", "there-unix"])
@pytest.mark.usefixtures("program")
def test_a_socket_file_is_its_owners_alone(site_per_data_path: Site, name: str) -> None:
    mode = (site_per_data_path.directory / f"{name}.sock").stat().st_mode

    assert stat.S_IMODE(mode) == 0o600


def test_a_port_leads_to_a_socket_file_on_either_side(site: Site) -> None:
    here, there = free_port(), free_port()
    target = site.service(echo, at=site.directory / "target.sock")
    forwards = [f'local = "{here}:{target}"', f'remote = "{there}:{target}"']
    program = site.program(tunnel_table("t", site.sshd().port, *forwards))
    program.up()
    program.wait_until_up()

    assert exchange(here, b"one way") == b"one way"
    assert exchange(there, b"the other") == b"the other"


def test_a_socket_in_use_is_left_alone(site: Site) -> None:
    theirs = site.directory / "busy.sock"
    owner = site.service(sender(b"mine"), at=theirs)
    forward = f'local = "{theirs}:{site.service(echo)}"'
    program = site.program(tunnel_table("t", site.sshd().port, forward))
    program.up()

    failed = program.wait_for(
        "t", lambda tunnel: tunnel.failure and tunnel.failure.cause == "local_port_busy"
    )

    assert failed.failure is not None
    assert str(theirs) in failed.failure.message
    assert exchange(theirs) == b"mine"
    program.succeed("down")
    assert program.wait_for_exit() == 0
    assert exchange(theirs) == b"mine"
    owner.close()


def test_the_socket_file_goes_with_the_tunnel(site: Site) -> None:
    path = site.directory / "here.sock"
    forward = f'local = "{path}:{site.service(echo)}"'
    program = site.program(tunnel_table("t", site.sshd().port, forward))
    program.up()
    program.wait_until_up()

    program.succeed("down", "t")
    program.wait_for_state("t", "stopped")

    assert not is_listening(path)
    assert not path.exists()
