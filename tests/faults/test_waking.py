"""A machine that sleeps, changes networks or loses its network, with rare keepalives.

The machine is the box of `netns`; its server runs on the relay.
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
from tests.e2e.sandbox import new_sandbox, tunnel_table
from tests.e2e.services import echo, hash_sink
from tests.e2e.sshd import Sshd
from tests.e2e.waiting import wait_until
from tests.faults.expectation import BACKOFF, EARLY_RETRY, MARGIN, Bound, expects, withstands
from tests.requirements import require
from tunnelkeeper.core.keepalive import PROBE_NOW_TIMEOUT
from tunnelkeeper.core.suspend_detection import CHECK_INTERVAL, MIN_STOPPED

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.e2e.program import Program
    from tests.faults.scenario import Scenario

RARE_KEEPALIVES = "keepalive_interval = 300"
PROBE = Bound(f"{PROBE_NOW_TIMEOUT:g} s", PROBE_NOW_TIMEOUT)
WAKE_PROBE = Bound(f"{CHECK_INTERVAL + PROBE_NOW_TIMEOUT:g} s", CHECK_INTERVAL + PROBE_NOW_TIMEOUT)
PORT, SINK = 8007, 8008
LINK = "uplink"


class Setup(NamedTuple):
    """A box with a tunnel "t" through the server to an echo service on the relay."""

    network: Network
    server: Sshd
    program: Program

    def check_data_flows(self) -> None:
        with self.network.box.entered():
            assert exchange(PORT, b"data", MARGIN) == b"data"

    def disconnect(self) -> None:
        """Remove the box's address, and its route to the server with it."""
        self.network.box.ip("address", "flush", "dev", LINK)

    def connect(self, address: str) -> None:
        """Give the box an address and a route to the server."""
        box = self.network.box
        box.ip("address", "add", f"{address}/24", "dev", LINK)
        box.ip("route", "replace", RELAY, "via", "10.77.2.1")

    @contextmanager
    def slow_link(self) -> Iterator[None]:
        """Limit the box to 12 kB a second inside the context."""
        tc = [require("tc"), "-n", self.network.box.name, "qdisc"]
        limit = ["tbf", "rate", "100kbit", "burst", "4kb", "latency", "2s"]
        subprocess.run([*tc, "add", "dev", LINK, "root", *limit], check=True)
        yield
        subprocess.run([*tc, "delete", "dev", LINK, "root"], check=True)

    def wait_for_log(self, text: str) -> None:
        """Wait until the log contains the text."""
        log = self.program.log
        wait_until(lambda: text in log(), within=MARGIN, message=log)

    def wait_for_new_connection(self, within: float) -> None:
        self.program.wait_for("t", lambda t: t.state == "up" and t.restarts, within + MARGIN)
        self.check_data_flows()


def let_time_pass(seconds: float) -> None:
    """Wait this many seconds, in which something must not happen."""
    until = time.monotonic() + seconds
    wait_until(lambda: time.monotonic() > until, within=seconds + MARGIN)


@pytest.fixture
def setup() -> Iterator[Setup]:
    with new_network() as network, new_sandbox() as sandbox, ExitStack() as stack:
        server = Sshd(
            sandbox.subdirectory("relay"),
            sandbox.authorized_keys,
            {"ListenAddress": ["127.0.0.1", RELAY]},
        )
        stack.callback(server.close)
        sandbox.add_known_host(f"[{RELAY}]:{server.port}", public(server.host_key))
        with network.relay.entered():
            server.start()
            service, sink = sandbox.service(echo), sandbox.service(hash_sink)
        program = sandbox.program(
            tunnel_table(
                "t",
                f"{RELAY}:{server.port}",
                RARE_KEEPALIVES,
                f'local = ["{PORT}:{service}", "{SINK}:{sink}"]',
                "backoff = { initial = 0.2, max = 2 }",
            )
        )
        with network.box.entered():
            program.up()
        program.wait_until_up()
        setup = Setup(network, server, program)
        setup.check_data_flows()
        yield setup


@expects(
    "the machine gets another address",
    status=("backoff", "peer_dead"),
    reported_within=PROBE,
    recovered_within=EARLY_RETRY,
)
def test_a_new_address_replaces_the_connection_despite_rare_keepalives(setup: Setup) -> None:
    setup.disconnect()
    setup.connect("10.77.2.9")

    setup.wait_for_new_connection(within=PROBE.seconds + EARLY_RETRY.seconds)
    log = setup.program.log()
    assert "the network " in log
    assert "+ 10.77.2.9" in log
    assert "no answer within 5 s of a wake or a change of network" in log


@withstands("the network is gone and returns unchanged")
def test_a_network_that_returns_unchanged_keeps_the_connection(setup: Setup) -> None:
    setup.disconnect()
    setup.wait_for_log("the network is gone")
    setup.connect("10.77.2.2")
    setup.wait_for_log("the network is back")

    setup.check_data_flows()
    assert setup.program.tunnel("t").restarts == 0


@expects(
    "no route to the server, then one",
    status=("backoff", "unreachable"),
    recovered_within=EARLY_RETRY,
)
def test_a_tunnel_without_a_route_connects_soon_after_it_appears(setup: Setup) -> None:
    setup.disconnect()
    setup.program.succeed("restart", "t")
    setup.program.wait_for_state("t", "backoff", "unreachable", within=MARGIN)
    setup.connect("10.77.2.2")

    setup.wait_for_new_connection(within=EARLY_RETRY.seconds)


def test_an_attempt_from_a_removed_address_does_not_wait_for_its_timeout(
    setup: Setup,
) -> None:
    setup.server.suspend()
    setup.program.succeed("restart", "t")
    setup.program.wait_for("t", lambda t: t.progress and t.progress.step == "key_exchange", MARGIN)
    setup.disconnect()
    setup.connect("10.77.2.9")
    setup.wait_for_log("+ 10.77.2.9")
    setup.server.resume()

    setup.wait_for_new_connection(within=2)
    assert "timeout" not in setup.program.log()


@withstands("the network changes while a slow link is saturated")
def test_a_saturated_slow_link_survives_a_network_change(setup: Setup) -> None:
    data = blob(MEGABYTE // 2)
    with ThreadPoolExecutor() as clients:
        with setup.slow_link():
            with setup.network.box.entered():  # the new thread inherits the namespace
                digest = clients.submit(exchange, SINK, data, 2 * MARGIN)
            setup.program.wait_for("t", lambda t: t.bytes_out > MEGABYTE // 4, MARGIN)
            setup.network.box.ip("address", "add", "10.99.0.2/24", "dev", LINK)
            setup.wait_for_log("+ 10.99.0.2")
            let_time_pass(2 * PROBE_NOW_TIMEOUT + 1)
            assert not digest.done()
            assert setup.program.tunnel("t").restarts == 0
        assert digest.result().decode() == sha256(data)
    assert setup.program.tunnel("t").restarts == 0


@expects(
    "the process is stopped, and the server is gone when it resumes",
    status=("backoff", "peer_dead"),
    reported_within=WAKE_PROBE,
    recovered_within=BACKOFF,
)
def test_a_resumed_process_probes_its_server(
    scenario: Scenario,
) -> None:
    local = f'local = "{scenario.port}:{scenario.sandbox.service(echo)}"'
    table = tunnel_table("t", scenario.link.port, RARE_KEEPALIVES, local, "backoff = { max = 2 }")
    scenario.start_program(scenario.sandbox.program(table))
    scenario.program.send_signal(signal.SIGSTOP)
    scenario.link.hold()
    let_time_pass(CHECK_INTERVAL + MIN_STOPPED + 1)
    scenario.program.send_signal(signal.SIGCONT)

    scenario.wait_for_expected_status()
    assert "this process was stopped for" in scenario.program.log()
    scenario.link.resume()
    scenario.check_recovery()


@withstands("the process is stopped for a while")
def test_a_resumed_process_keeps_connections_that_still_work(
    scenario: Scenario,
) -> None:
    scenario.start_tunnel()
    scenario.program.send_signal(signal.SIGSTOP)
    let_time_pass(CHECK_INTERVAL + MIN_STOPPED + 1)
    scenario.program.send_signal(signal.SIGCONT)

    wait_until(lambda: "probing every connection" in scenario.program.log(), within=MARGIN)
    scenario.check_stayed_up()
