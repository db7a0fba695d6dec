"""A box behind NAT, reached through a relay: by a port, a Unix socket or a name that it holds.

Client, relay and box are in network namespaces of their own. The relay is OpenSSH's server or ours.
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
from tests.e2e.services import echo
from tests.e2e.site import USER, Site, new_site, tunnel_table
from tests.e2e.sshd import Sshd
from tests.e2e.waiting import wait_until
from tests.requirements import require

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

ECHO = 7
"""The port of a service on the box's loopback."""

TO_ECHO = 8007
"""The client's port that leads there."""

NOTICED_WITHIN = 6
"""Seconds to find a peer dead: keepalive_interval is 1 and keepalive_count_max is 2."""

RELAY_KEEPALIVE = 1
"""Seconds between our relay's keepalives; it tolerates so few answers that only a takeover ends
the box's old connection."""

HOLDS_A_PORT = """\
    [hosts.box]
    hostname = "localhost"
    port = 2222
    jump = "relay"
    host_key_alias = "box"

    """
HOLDS_A_SOCKET = """\
    [hosts.box]
    hostname = "localhost"
    port = 2200
    host_key_alias = "box"

    [tunnels.way]
    host = "relay"
    local = "2200:{socket}"

    """
HOLDS_A_NAME = """\
    [hosts.box]
    jump = "relay"

    """
WAYS = {
    "port": ("2222", HOLDS_A_PORT),
    "socket": ("{socket}", HOLDS_A_SOCKET),
    "name": ("box:22", HOLDS_A_NAME),
}
"""What the box listens on, and what the client's config file says of the box then."""

WORLDS = ["openssh port", "openssh socket", "ours port", "ours socket", "ours name"]
each_world = pytest.mark.parametrize("world", WORLDS, indirect=True)


class World(NamedTuple):
    """The three machines, what each of them runs, and the files that they share."""

    network: Network
    site: Site
    relay: Sshd | Relay
    box: Program
    client: Program
    box_sshd: Sshd

    def echo(self, data: bytes) -> bytes:
        """Return the answer of the box's service through the client's tunnel."""
        with self.network.client.entered():
            return exchange(TO_ECHO, data)

    def run_on_client(self, program: str, *arguments: str) -> str:
        """Run ssh or scp as the client's user; what it printed."""
        config = self.site.directory / "ssh_config"
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
                IdentityFile {self.site.key}
                UserKnownHostsFile {self.site.known_hosts}
                IdentitiesOnly yes
                BatchMode yes
            """)


@pytest.fixture(scope="module")
def world(request: pytest.FixtureRequest) -> Iterator[World]:
    """Run a box that is up at its relay, and a client that is up at the box."""
    whose, way = request.param.split()
    with new_network() as network, new_site() as site, ExitStack() as stack:
        sockets = site.subdirectory("sockets")
        relay = openssh(site) if whose == "openssh" else ours(site, sockets)
        stack.callback(relay.close)
        box_sshd = Sshd(
            site.subdirectory("box"), site.authorized_keys, {"Subsystem": "sftp internal-sftp"}
        )
        stack.callback(box_sshd.close)
        site.add_known_host(f"[{RELAY}]:{relay.port}", public(relay.host_key))
        site.add_known_host("box", public(box_sshd.host_key))
        with network.relay.entered():
            relay.start()
        with network.box.entered():
            box_sshd.start()
            site.service(echo, at=ECHO)

        listen, host = (text.format(socket=sockets / "box.sock") for text in WAYS[way])
        head = site.head() + "keepalive_interval = 1\nkeepalive_count_max = 2\n\n"
        head += f'[hosts.relay]\nhostname = "{RELAY}"\nport = {relay.port}\n\n'
        remote = f'remote = "{listen}:localhost:{box_sshd.port}"'
        box = site.program(tunnel_table("reach-me", "relay", remote), head=head)
        local = f'local = "{TO_ECHO}:localhost:{ECHO}"'
        client = site.program(dedent(host), tunnel_table("box", "box", local), head=head)
        with network.box.entered():
            box.up()
        box.wait_until_up()
        with network.client.entered():
            client.up()
        client.wait_until_up()
        yield World(network, site, relay, box, client, box_sshd)


def openssh(site: Site) -> Sshd:
    """OpenSSH's server as the relay."""
    return Sshd(
        site.subdirectory("relay"),
        site.authorized_keys,
        {
            "ListenAddress": ["127.0.0.1", RELAY],
            "StreamLocalBindUnlink": "yes",
            "ClientAliveInterval": "1",
            "ClientAliveCountMax": "2",
        },
    )


def ours(site: Site, sockets: Path) -> Relay:
    """Our relay."""
    return Relay(
        site.subdirectory("relay"),
        site.authorized_keys,
        f'unix_socket_dir = "{sockets}"',
        "[limits]",
        f"keepalive_interval = {RELAY_KEEPALIVE}",
        "keepalive_count_max = 60",
        address=RELAY,
    )


@each_world
def test_the_client_cannot_reach_the_box_by_itself(world: World) -> None:
    there = (world.network.box_address, world.box_sshd.port)

    with (
        world.network.client.entered(),
        pytest.raises(OSError, match="unreachable"),
        connected(there, timeout=5),
    ):
        pass


@each_world
def test_a_tunnel_to_the_box_carries_data_both_ways(world: World) -> None:
    data = blob(3 * MEGABYTE)

    assert world.echo(data) == data


@each_world
def test_ssh_logs_in_on_the_box_with_connect_as_its_proxy_command(world: World) -> None:
    where = world.run_on_client("ssh", "box", require("ip"), "netns", "identify")

    assert where.strip() == world.network.box.name


@each_world
def test_scp_copies_a_large_file_to_the_box_and_back_intact(world: World) -> None:
    sent, there, back = (world.site.directory / name for name in ("sent", "there", "back"))
    sent.write_bytes(blob(20 * MEGABYTE))

    world.run_on_client("scp", str(sent), f"box:{there}")
    world.run_on_client("scp", f"box:{there}", str(back))

    assert sha256(there.read_bytes()) == sha256(sent.read_bytes())
    assert sha256(back.read_bytes()) == sha256(sent.read_bytes())


@pytest.mark.parametrize("world", ["openssh port"], indirect=True)
def test_a_box_that_was_cut_off_holds_its_port_again_once_openssh_has_noticed(
    world: World,
) -> None:
    with world.network.box_cut_off():
        world.box.wait_for_state("reach-me", "backoff", "peer_dead", within=NOTICED_WITHIN)

    world.box.wait_until_up(within=30)
    client_is_up_again(world)
    assert world.echo(b"back") == b"back"


@pytest.mark.parametrize("world", ["ours port", "ours socket", "ours name"], indirect=True)
def test_a_box_that_was_cut_off_takes_over_from_itself_at_once_at_our_relay(world: World) -> None:
    assert isinstance(world.relay, Relay)
    relay, old_address = world.relay, world.network.box_address

    with world.network.box_cut_off():
        world.box.wait_for_state("reach-me", "backoff", "peer_dead", within=NOTICED_WITHIN)

    world.box.wait_until_up(within=30)
    assert "remote_port_busy" not in world.box.succeed("logs", "reach-me")
    assert " took " in relay.log()
    wait_until(lambda: not connected_from(old_address, relay), within=RELAY_KEEPALIVE + 20)
    client_is_up_again(world)
    assert world.echo(b"back") == b"back"


def client_is_up_again(world: World) -> None:
    """Wait until the client has a new connection to the box: the old one cannot have survived."""
    world.client.wait_for("box", lambda tunnel: tunnel.state == "up" and tunnel.restarts, within=30)


def connected_from(address: str, relay: Relay) -> list[str]:
    """Return the clients from an address that our relay still shows."""
    clients = [client.address for client in relay.status().clients]
    return [client for client in clients if client.startswith(f"{address}:")]
