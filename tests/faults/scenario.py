"""One tunnel to the real sshd over a link that tests break: expected status and recovery."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack, nullcontext
from typing import TYPE_CHECKING, Self

import psutil

from tests.e2e.clients import exchange
from tests.e2e.keys import public
from tests.e2e.ports import free_port
from tests.e2e.sandbox import Sandbox, tunnel_table
from tests.e2e.services import Handler, Service, echo
from tests.e2e.waiting import wait_until
from tests.faults.background_loop import BackgroundLoop
from tests.faults.expectation import BACKOFF_MAX, CONNECT_TIMEOUT, KEEPALIVE, MARGIN, Expectation
from tests.faults.footprint import SLACK, Footprint
from tests.faults.link import Link
from tests.faults.status_watcher import StatusWatcher

if TYPE_CHECKING:
    from types import TracebackType

    from tests.e2e.program import Program
    from tests.e2e.sshd import Sshd
    from tunnelkeeper.core.snapshot import FailureSnapshot

QUICK_HOST = (
    f"keepalive_interval = {KEEPALIVE.interval:g}",
    f"keepalive_count_max = {KEEPALIVE.count_max}",
    f"connect_timeout = {CONNECT_TIMEOUT:g}",
)
QUICK = (
    *QUICK_HOST,
    "gate_time = 1",
    f"backoff = {{ initial = 0.2, max = {BACKOFF_MAX:g} }}",
)
"""Config keys with short intervals and timeouts: those of a host, and those of a tunnel."""

TUNNEL = "t"

Location = Callable[[], AbstractContextManager[None]]
"""Returns a context in which programs are started, for example inside a network namespace."""


class Scenario:
    """The tunnel "t" with a local forward to an echo service, and the fault it is exposed to.

    The steps of a test, in this order: `start_tunnel`, the fault, `wait_for_expected_status`, the
    end of the fault, `check_recovery`. server: the sshd behind the link. port: the local port that
    leads to the service. client_location: of the program and its clients. server_location: of the
    servers; host: the address of the link at
    the servers.
    """

    def __init__(
        self,
        sandbox: Sandbox,
        expectation: Expectation,
        client_location: Location = nullcontext,
        server_location: Location = nullcontext,
        host: str = "127.0.0.1",
    ) -> None:
        self.sandbox = sandbox
        self.expectation = expectation
        self.host = host
        self.port = free_port()
        self.background = BackgroundLoop()
        self.server: Sshd
        self.link: Link
        self.program: Program
        self._client_location, self._server_location = client_location, server_location
        self._stack = ExitStack()
        self._before: Footprint | None = None
        self._events = 0
        self._watcher: StatusWatcher

    def __enter__(self) -> Self:
        with self._server_location():
            self._stack.enter_context(self.background)
            # With IPv6, sshd reports success for a remote port that it could bind on ::1 only.
            self.server = self.sandbox.sshd(AddressFamily="inet")
            self.link = self.link_to(self.server)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._stack.close()

    # -- setup ----------------------------------------------------------------------------------

    def link_to(self, server: Sshd) -> Link:
        """Create a link to a server; add the server's key to known_hosts for the link."""
        link = Link(self.background, server.port, self.host)
        self.sandbox.add_known_host(f"[{self.host}]:{link.port}", public(server.host_key))
        return link

    def service(self, handler: Handler) -> Service:
        """Start a service at the location of the servers."""
        with self._server_location():
            return self.sandbox.service(handler)

    def tunnel(self, *lines: str, local: tuple[str, ...] = ()) -> str:
        """Return the table of "t", with its forward to an echo service.

        lines: additional keys, or other values for default keys. local: additional local forwards.
        """
        forwards = [f"{self.port}:{self.service(echo)}", *local]
        own = {_key(line) for line in lines}
        keys = [line for line in QUICK if _key(line) not in own]
        where = f"{self.host}:{self.link.port}"
        return tunnel_table(TUNNEL, where, *keys, f"local = {forwards}", *lines)

    # -- the steps of a test --------------------------------------------------------------------

    def start_tunnel(
        self, *lines: str, local: tuple[str, ...] = (), tables: tuple[str, ...] = ()
    ) -> None:
        """Start the tunnel, check that data flows and record the supervisor's footprint.

        lines, local: passed to `tunnel`. tables: of other tunnels and hosts.
        """
        self.start_program(self.sandbox.program(self.tunnel(*lines, local=local), *tables))

    def start_program(self, program: Program) -> None:
        """Start the tunnel in the same way, with the program of the test."""
        self.program = program
        with self._client_location():
            program.up()
        self._watcher = self._stack.enter_context(StatusWatcher(program.socket))
        self.wait_until_up()
        self.record_footprint()

    def record_footprint(self) -> None:
        """Record the footprint that the supervisor must return to, and skip all earlier events."""
        wait_until(
            lambda: (
                not Footprint.of(self.pid).children and not self.program.tunnel(TUNNEL).connections
            ),
            within=MARGIN,
            message="the supervisor still has children or clients",
        )
        self._before = Footprint.of(self.pid)
        self._events = len(self._watcher.snapshots)

    def wait_for_expected_status(self, text: str = "") -> FailureSnapshot:
        """Wait until status reports the expected state and cause; return the failure.

        text: a part of the failure's message.
        """
        state, cause = self.expectation.status

        def reported() -> FailureSnapshot | None:
            for tunnel in self._watcher.snapshots_of(TUNNEL, self._events):
                failure = tunnel.failure
                if failure is None or text not in failure.message:
                    continue
                if (tunnel.state, failure.cause) == (state, cause):
                    return failure
            return None

        return wait_until(
            reported,
            within=self.expectation.reported_within.seconds + MARGIN,
            message=lambda: (
                f"{state}, {cause} ({text}) was not reported in time; reported: {self.states()}"
            ),
        )

    def check_recovery(self, slack: int = SLACK) -> None:
        """Check that data flows again in time and that the footprint is the recorded one.

        slack: bytes by which memory may grow.
        """
        self.wait_until_up(within=self.expectation.recovered_within.seconds + MARGIN)
        self.check_footprint(slack)

    def check_stayed_up(self, slack: int = SLACK) -> None:
        """Check that the tunnel stayed up on one connection and still carries data."""
        self.check_never_down()
        self.check_recovery(slack)

    # -- checks and measurements ---------------------------------------------------------------

    @property
    def pid(self) -> int:
        """The process ID of the supervisor."""
        return self.program.status().supervisor.pid

    def states(self) -> list[tuple[str, str | None]]:
        """Return the states and causes of the tunnel since the footprint was recorded."""
        tunnels = self._watcher.snapshots_of(TUNNEL, self._events)
        return [(t.state, t.failure.cause if t.failure else None) for t in tunnels]

    def event_count(self) -> int:
        """Return the number of tunnel events so far."""
        return len(self._watcher.snapshots)

    def wait_until_up(self, within: float = MARGIN) -> None:
        """Wait until the tunnel is up, at most this many seconds; check that data flows."""
        self.program.wait_for_state(TUNNEL, "up", within=within)
        self.check_data_flows()

    def wait_for_restarts(self, times: int) -> None:
        """Wait until the tunnel has come up again this many times."""
        self.program.wait_for(TUNNEL, lambda tunnel: tunnel.restarts >= times, within=MARGIN)

    def failed_attempts(self) -> int:
        """Return the highest number of consecutive failed attempts in status since the fault."""
        tunnels = self._watcher.snapshots_of(TUNNEL, self._events)
        return max((tunnel.attempt for tunnel in tunnels if tunnel.state == "backoff"), default=0)

    def check_never_down(self) -> None:
        """Check that status has shown only "up", on one connection."""
        assert {state for state, _ in self.states()} <= {"up"}, self.states()
        assert self.program.tunnel(TUNNEL).restarts == 0

    def check_data_flows(self, timeout: float = MARGIN) -> None:
        """Check that a client gets an answer within the timeout."""
        with self._client_location():
            assert exchange(self.port, b"data", timeout) == b"data"

    def footprint(self) -> Footprint:
        """Return the supervisor's current footprint."""
        return Footprint.of(self.pid)

    def server_descriptors(self) -> int:
        """Count the descriptors of the server's sessions: one for each channel, and some more."""
        return sum(psutil.Process(pid).num_fds() for pid in self.server.sessions())

    def check_footprint(self, slack: int = SLACK) -> None:
        """Wait until the supervisor's footprint is the recorded one, but for some memory."""
        before = self._before
        assert before is not None
        wait_until(
            lambda: self.footprint().fits(before, slack),
            within=MARGIN,
            message=lambda: f"before: {before}; now: {self.footprint()}",
        )


def _key(line: str) -> str:
    return line.partition(" = ")[0]
