"""A box behind NAT, reached through its port, Unix socket or name on a relay.

Client, relay and box have separate network namespaces. The relay is OpenSSH's server or ours.
"""

from __future__ import annotations

import shlex
import subprocess
from contextlib import ExitStack
from textwrap import dedent
from typing import TYPE_CHECKING, NamedTuple

import pytest

from tests.e2e.clients import MEGABYTE, blob, connected, exchange, sha256
from tests.e2e.keys import public
from tests.e2e.netns import RELAY, Network, new_network
from tests.e2e.program import COMMAND, Program
from tests.e2e.relay import Relay
from tests.e2e.sandbox import USER, Sandbox, new_sandbox, tunnel_table
from tests.e2e.services import echo
from tests.e2e.sshd import Sshd
from tests.e2e.waiting import wait_until
from tests.requirements import require

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

ECHO = 7
"""The port of a service on the box's loopback."""

CLIENT_PORT = 8007
"""The client's port that is forwarded to the echo service."""

DETECTION_TIMEOUT = 6
"""Seconds to detect a dead peer: keepalive_interval is 1 and keepalive_count_max is 2."""

RELAY_KEEPALIVE = 1
"""Seconds between our relay's keepalives; it tolerates 60 unanswered ones, so only a takeover ends
the box's old connection."""

PORT_CONFIG = """\
    [hosts.box]
    hostname = "localhost"
    port = 2222
    jump = "relay"
    host_key_alias = "box"

    """
SOCKET_CONFIG = """\
    [hosts.box]
    hostname = "localhost"
    port = 2200
    host_key_alias = "box"

    [tunnels.relay-socket]
    host = "relay"
    local = "2200:{socket}"

    """
NAME_CONFIG = """\
    [hosts.box]
    jump = "relay"

    """
LISTENERS = {
    "port": ("2222", PORT_CONFIG),
    "socket": ("{socket}", SOCKET_CONFIG),
    "name": ("box:22", NAME_CONFIG),
}
"""The listen address of the box, and the matching config of the client."""

SETUPS = ["openssh port", "openssh socket", "ours port", "ours socket", "ours name"]
all_setups = pytest.mark.parametrize("setup", SETUPS, indirect=True)


class Setup(NamedTuple):
    """The three machines, their programs, and their shared files."""

    network: Network
    sandbox: Sandbox
    relay: Sshd | Relay
    box: Program
    client: Program
    box_sshd: Sshd

    def echo(self, data: bytes) -> bytes:
        """Exchange data with the box's echo service through the client's tunnel."""
        with self.network.client.entered():
            return exchange(CLIENT_PORT, data)

    def run_on_client(self, program: str, *arguments: str) -> str:
        """Run ssh or scp on the client; return its output."""
        config = self.sandbox.directory / "ssh_config"
        config.write_text(self._ssh_config())
        with self.network.client.entered():
            done = subprocess.run(
                [require(program), "-F", str(config), *arguments],
                env=self.client.environment,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                timeout=30,
                check=False,
            )
        assert done.returncode == 0, done
        return done.stdout

    def _ssh_config(self) -> str:
        connect = shlex.join([*COMMAND, "connect", "box", f"localhost:{self.box_sshd.port}"])
        return dedent(f"""\
            Host box
                ProxyCommand {connect}
                HostKeyAlias box
                User {USER}
                IdentityFile {self.sandbox.key}
                UserKnownHostsFile {self.sandbox.known_hosts}
                IdentitiesOnly yes
                BatchMode yes
            """)


@pytest.fixture(scope="module")
def setup(request: pytest.FixtureRequest) -> Iterator[Setup]:
    """Start a box with a tunnel to its relay, and a client with a tunnel to the box."""
    server, listener = request.param.split()
    with new_network() as network, new_sandbox() as sandbox, ExitStack() as stack:
        sockets = sandbox.subdirectory("sockets")
        relay = openssh(sandbox) if server == "openssh" else ours(sandbox, sockets)
        stack.callback(relay.close)
        box_sshd = Sshd(
            sandbox.subdirectory("box"),
            sandbox.authorized_keys,
            {"Subsystem": "sftp internal-sftp"},
        )
        stack.callback(box_sshd.close)
        sandbox.add_known_host(f"[{RELAY}]:{relay.port}", public(relay.host_key))
        sandbox.add_known_host("box", public(box_sshd.host_key))
        with network.relay.entered():
            relay.start()
        with network.box.entered():
            box_sshd.start()
            sandbox.service(echo, at=ECHO)

        listen, host = (text.format(socket=sockets / "box.sock") for text in LISTENERS[listener])
        head = sandbox.head() + "keepalive_interval = 1\nkeepalive_count_max = 2\n\n"
        head += f'[hosts.relay]\nhostname = "{RELAY}"\nport = {relay.port}\n\n'
        remote = f'remote = "{listen}:localhost:{box_sshd.port}"'
        box = sandbox.program(tunnel_table("reach-me", "relay", remote), head=head)
        local = f'local = "{CLIENT_PORT}:localhost:{ECHO}"'
        client = sandbox.program(dedent(host), tunnel_table("box", "box", local), head=head)
        with network.box.entered():
            box.up()
        box.wait_until_up()
        with network.client.entered():
            client.up()
        client.wait_until_up()
        yield Setup(network, sandbox, relay, box, client, box_sshd)


def openssh(sandbox: Sandbox) -> Sshd:
    """Create OpenSSH's server as the relay."""
    return Sshd(
        sandbox.subdirectory("relay"),
        sandbox.authorized_keys,
        {
            "ListenAddress": ["127.0.0.1", RELAY],
            "StreamLocalBindUnlink": "yes",
            "ClientAliveInterval": "1",
            "ClientAliveCountMax": "2",
        },
    )


def ours(sandbox: Sandbox, sockets: Path) -> Relay:
    """Create our relay."""
    return Relay(
        sandbox.subdirectory("relay"),
        sandbox.authorized_keys,
        f'unix_socket_dir = "{sockets}"',
        'names = ["box"]',
        "[limits]",
        f"keepalive_interval = {RELAY_KEEPALIVE}",
        "keepalive_count_max = 60",
        address=RELAY,
    )


@all_setups
def test_the_client_cannot_reach_the_box_directly(setup: Setup) -> None:
    address = (setup.network.box_address, setup.box_sshd.port)

    with (
        setup.network.client.entered(),
        pytest.raises(OSError, match="unreachable"),
        connected(address, timeout=5),
    ):
        pass


@all_setups
def test_a_tunnel_to_the_box_carries_data_both_ways(setup: Setup) -> None:
    data = blob(3 * MEGABYTE)

    assert setup.echo(data) == data


@all_setups
def test_ssh_logs_in_to_the_box_with_connect_as_its_proxy_command(setup: Setup) -> None:
    namespace = setup.run_on_client("ssh", "box", require("ip"), "netns", "identify")

    assert namespace.strip() == setup.network.box.name


@all_setups
def test_scp_copies_a_large_file_to_the_box_and_back_intact(setup: Setup) -> None:
    sent, remote, back = (setup.sandbox.directory / name for name in ("sent", "remote", "back"))
    sent.write_bytes(blob(20 * MEGABYTE))

    setup.run_on_client("scp", str(sent), f"box:{remote}")
    setup.run_on_client("scp", f"box:{remote}", str(back))

    assert sha256(remote.read_bytes()) == sha256(sent.read_bytes())
    assert sha256(back.read_bytes()) == sha256(sent.read_bytes())


@pytest.mark.parametrize("setup", ["openssh port"], indirect=True)
def test_a_disconnected_box_gets_its_port_back_once_openssh_ends_its_session(
    setup: Setup,
) -> None:
    with setup.network.box_cut_off():
        setup.box.wait_for_state("reach-me", "backoff", "peer_dead", within=DETECTION_TIMEOUT)

    setup.box.wait_until_up(within=30)
    wait_for_client_reconnect(setup)
    assert setup.echo(b"data") == b"data"


@pytest.mark.parametrize("setup", ["ours port", "ours socket", "ours name"], indirect=True)
def test_a_disconnected_box_takes_its_listener_over_at_once_on_our_relay(setup: Setup) -> None:
    assert isinstance(setup.relay, Relay)
    relay, old_address = setup.relay, setup.network.box_address

    with setup.network.box_cut_off():
        setup.box.wait_for_state("reach-me", "backoff", "peer_dead", within=DETECTION_TIMEOUT)

    setup.box.wait_until_up(within=30)
    assert "remote_port_busy" not in setup.box.succeed("logs", "reach-me")
    assert " took " in relay.log()
    wait_until(lambda: not connected_from(old_address, relay), within=RELAY_KEEPALIVE + 20)
    wait_for_client_reconnect(setup)
    assert setup.echo(b"data") == b"data"


def wait_for_client_reconnect(setup: Setup) -> None:
    """Wait until the client has a new connection to the box; the old one cannot have survived."""
    setup.client.wait_for("box", lambda tunnel: tunnel.state == "up" and tunnel.restarts, within=30)


def connected_from(address: str, relay: Relay) -> list[str]:
    """Return the clients from an address in the status of our relay."""
    clients = [client.address for client in relay.status().clients]
    return [client for client in clients if client.startswith(f"{address}:")]
