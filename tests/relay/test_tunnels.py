"""tunnelkeeper on both sides of the relay: by port, name and path."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from tests.e2e.clients import MEGABYTE, blob, exchange
from tests.e2e.keys import public
from tests.e2e.ports import free_port
from tests.e2e.sandbox import USER as ME
from tests.e2e.sandbox import host_table, tunnel_table
from tests.e2e.services import echo
from tests.relay.relay_process import start_relay

if TYPE_CHECKING:
    from tests.e2e.sandbox import Sandbox

DATA = blob(MEGABYTE)


def test_a_client_is_reached_by_port_by_name_and_by_path(sandbox: Sandbox) -> None:
    box, service = sandbox.sshd(), sandbox.service(echo)
    sockets = sandbox.subdirectory("s")
    relay = start_relay(sandbox, unix_socket_dir=str(sockets), limits={"penalties": False})
    bound_port, by_port, by_name, by_path = (free_port() for _ in range(4))
    path = sockets / "box.sock"
    sandbox.add_known_host("box", public(box.host_key))
    program = sandbox.program(
        host_table("relay", relay.port, 'user = "box"'),
        f'[hosts.by-port]\nhostname = "localhost"\nport = {bound_port}\njump = "relay"\n'
        f'user = "{ME}"\nhost_key_alias = "box"\n',
        f'[hosts.by-name]\nhostname = "home"\njump = "relay"\nuser = "{ME}"\n'
        'host_key_alias = "box"\n',
        tunnel_table(
            "box",
            "relay",
            f'remote = ["{bound_port}:127.0.0.1:{box.port}", "home:22:127.0.0.1:{box.port}",'
            f' "{path}:{service}"]',
        ),
        tunnel_table("port", "by-port", f'local = "{by_port}:{service}"'),
        tunnel_table("name", "by-name", f'local = "{by_name}:{service}"'),
        tunnel_table("path", "relay", f'local = "{by_path}:{path}"'),
    )
    program.up("box")
    program.wait_until_up("box")
    relay.wait_until_bound(f"localhost:{bound_port}", "home:22", str(path))
    program.succeed("up", "port", "name", "path")
    program.wait_until_up("port", "name", "path")

    for port in (by_port, by_name, by_path):
        assert exchange(port, DATA) == DATA


def test_tunnels_reconnect_after_the_relay_was_killed(sandbox: Sandbox) -> None:
    relay, service, port = start_relay(sandbox), sandbox.service(echo), free_port()
    program = sandbox.program(
        host_table("relay", relay.port, 'user = "box"'),
        tunnel_table("box", "relay", f'remote = "{port}:{service}"'),
    )
    program.up()
    program.wait_until_up()
    relay.kill()
    program.wait_for_state("box", "backoff")
    relay.start()
    program.wait_until_up()

    assert exchange(port, b"again") == b"again"
    assert Path(relay.directory / "relay_host_key").exists()
