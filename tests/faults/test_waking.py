"""A machine that sleeps, moves or loses its network, while keepalives are far apart.

The machine is a network namespace and reaches its server, in another one, as a box its relay.
"""

from __future__ import annotations

import signal
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, NamedTuple

import pytest

from tests.e2e.clients import MEGABYTE, blob, exchange, sha256
from tests.e2e.keys import public
from tests.e2e.netns import RELAY, Network, new_network
from tests.e2e.services import echo, hash_sink
from tests.e2e.site import new_site, tunnel_table
from tests.e2e.sshd import Sshd
from tests.e2e.waiting import wait_until
from tests.faults.proof import BACKOFF, FREE_RETRY, MARGIN, Bound, proves, withstands
from tests.requirements import require
from tunnelkeeper.core.keepalive import PROBE_NOW_TIMEOUT
from tunnelkeeper.core.suspend_detection import CHECK_INTERVAL, MIN_STOPPED

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.e2e.program import Program
    from tests.faults.scene import Scene

RARELY = "keepalive_interval = 300"
ASKED = Bound(f"{PROBE_NOW_TIMEOUT:g} s", PROBE_NOW_TIMEOUT)
WOKEN_AND_ASKED = Bound(
    f"{CHECK_INTERVAL + PROBE_NOW_TIMEOUT:g} s", CHECK_INTERVAL + PROBE_NOW_TIMEOUT
)
PORT, SINK = 8007, 8008
LINK = "uplink"


class World(NamedTuple):
    """A box whose tunnel "t" leads through the server to an echo service beside it."""

    network: Network
    server: Sshd
    program: Program

    def carries_data(self) -> None:
        with self.network.box.entered():
            assert exchange(PORT, b"are you there?", MARGIN) == b"are you there?"

    def unplugged(self) -> None:
        """Remove the box's address, and its route to the server with it."""
        self.network.box.ip("address", "flush", "dev", LINK)

    def plugged_in(self, address: str) -> None:
        """Give the box an address and a route to the server."""
        box = self.network.box
        box.ip("address", "add", f"{address}/24", "dev", LINK)
        box.ip("route", "replace", RELAY, "via", "10.77.2.1")

    @contextmanager
    def slow(self) -> Iterator[None]:
        """Limit the box to 12 kB a second."""
        tc = [require("tc"), "-n", self.network.box.name, "qdisc"]
        limit = ["tbf", "rate", "100kbit", "burst", "4kb", "latency", "2s"]
        subprocess.run([*tc, "add", "dev", LINK, "root", *limit], check=True)
        yield
        subprocess.run([*tc, "delete", "dev", LINK, "root"], check=True)

    def logged(self, words: str) -> None:
        """Wait until the log has it."""
        log = self.program.log
        wait_until(lambda: words in log(), within=MARGIN, complaint=log)

    def wait_for_new_connection(self, within: float) -> None:
        self.program.wait_for("t", lambda t: t.state == "up" and t.restarts, within + MARGIN)
        self.carries_data()


def passes(seconds: float) -> None:
    """Let so much time pass: what must not happen meanwhile cannot be waited for."""
    until = time.monotonic() + seconds
    wait_until(lambda: time.monotonic() > until, within=seconds + MARGIN)


@pytest.fixture
def world() -> Iterator[World]:
    with new_network() as network, new_site() as site, ExitStack() as stack:
        server = Sshd(
            site.subdirectory("relay"),
            site.authorized_keys,
            {"ListenAddress": ["127.0.0.1", RELAY]},
        )
        stack.callback(server.close)
        site.know(f"[{RELAY}]:{server.port}", public(server.host_key))
        with network.relay.entered():
            server.start()
            service, sink = site.service(echo), site.service(hash_sink)
        program = site.program(
            tunnel_table(
                "t",
                f"{RELAY}:{server.port}",
                RARELY,
                f'local = ["{PORT}:{service}", "{SINK}:{sink}"]',
                "backoff = { initial = 0.2, max = 2 }",
            )
        )
        with network.box.entered():
            program.up()
        program.wait_until_up()
        world = World(network, server, program)
        world.carries_data()
        yield world


@proves(
    "the machine gets another address",
    says=("backoff", "peer_dead"),
    noticed=ASKED,
    flows=FREE_RETRY,
)
def test_a_tunnel_moves_with_its_machine_however_rare_its_keepalives(world: World) -> None:
    world.unplugged()
    world.plugged_in("10.77.2.9")

    world.wait_for_new_connection(within=ASKED.seconds + FREE_RETRY.seconds)
    log = world.program.log()
    assert "the network " in log
    assert "+ 10.77.2.9" in log
    assert "no answer within 5 s of a wake or a change of network" in log


@withstands("the network is gone and comes back as it was")
def test_a_network_that_comes_back_as_it_was_costs_no_connection(world: World) -> None:
    world.unplugged()
    world.logged("the network is gone")
    world.plugged_in("10.77.2.2")
    world.logged("the network is back")

    world.carries_data()
    assert world.program.tunnel("t").restarts == 0


@proves("no route to the server, then one", says=("backoff", "unreachable"), flows=FREE_RETRY)
def test_a_tunnel_without_a_way_is_up_soon_after_there_is_one(world: World) -> None:
    world.unplugged()
    world.program.succeed("restart", "t")
    world.program.wait_for_state("t", "backoff", "unreachable", within=MARGIN)
    world.plugged_in("10.77.2.2")

    world.wait_for_new_connection(within=FREE_RETRY.seconds)


def test_an_attempt_from_an_address_that_is_gone_does_not_wait_for_its_timeout(
    world: World,
) -> None:
    world.server.freeze()
    world.program.succeed("restart", "t")
    world.program.wait_for("t", lambda t: t.progress and t.progress.step == "key_exchange", MARGIN)
    world.unplugged()
    world.plugged_in("10.77.2.9")
    world.logged("+ 10.77.2.9")
    world.server.thaw()

    world.wait_for_new_connection(within=2)
    assert "timeout" not in world.program.log()


@withstands("the network changes beside a link that is slow and full")
def test_a_slow_link_that_is_full_is_no_dead_one(world: World) -> None:
    data = blob(MEGABYTE // 2)
    with ThreadPoolExecutor() as clients:
        with world.slow():
            with world.network.box.entered():  # and so is the thread that is made here
                digest = clients.submit(exchange, SINK, data, 2 * MARGIN)
            world.program.wait_for("t", lambda t: t.bytes_out > MEGABYTE // 4, MARGIN)
            world.network.box.ip("address", "add", "10.99.0.2/24", "dev", LINK)
            world.logged("+ 10.99.0.2")
            passes(2 * PROBE_NOW_TIMEOUT + 1)
            assert not digest.done()
            assert world.program.tunnel("t").restarts == 0
        assert digest.result().decode() == sha256(data)
    assert world.program.tunnel("t").restarts == 0


@proves(
    "the process is stopped, and the server is gone when it resumes",
    says=("backoff", "peer_dead"),
    noticed=WOKEN_AND_ASKED,
    flows=BACKOFF,
)
def test_a_process_that_was_stopped_asks_whether_its_server_is_still_there(scene: Scene) -> None:
    local = f'local = "{scene.port}:{scene.site.service(echo)}"'
    table = tunnel_table("t", scene.link.port, RARELY, local, "backoff = { max = 2 }")
    scene.starts(scene.site.program(table))
    scene.program.send_signal(signal.SIGSTOP)
    scene.link.hold()
    passes(CHECK_INTERVAL + MIN_STOPPED + 1)
    scene.program.send_signal(signal.SIGCONT)

    scene.says_so()
    assert "this process was stopped for" in scene.program.log()
    scene.link.go()
    scene.recovers()


@withstands("the process is stopped for a while")
def test_a_process_that_was_stopped_keeps_the_connections_that_still_live(scene: Scene) -> None:
    scene.begins()
    scene.program.send_signal(signal.SIGSTOP)
    passes(CHECK_INTERVAL + MIN_STOPPED + 1)
    scene.program.send_signal(signal.SIGCONT)

    wait_until(lambda: "probing every connection" in scene.program.log(), within=MARGIN)
    scene.stays_up()
