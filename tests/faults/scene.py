"""One tunnel to the real sshd over a link that can be broken: what it must say, and come back."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack, nullcontext
from typing import TYPE_CHECKING, Self

import psutil

from tests.e2e.clients import exchange
from tests.e2e.keys import public
from tests.e2e.ports import free_port
from tests.e2e.services import Handler, Service, echo
from tests.e2e.site import Site, tunnel_table
from tests.e2e.waiting import wait_until
from tests.faults.background import Background
from tests.faults.footprint import SLACK, Footprint
from tests.faults.link import Link
from tests.faults.proof import BACKOFF_MAX, CONNECT_TIMEOUT, KEEPALIVE, MARGIN, Proof
from tests.faults.witness import Witness

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
"""The keys of a host, and of a tunnel, that notices soon and does not wait long."""

TUNNEL = "t"

Place = Callable[[], AbstractContextManager[None]]
"""Where something is started: within such a context; a network namespace, for example."""


class Scene:
    """The tunnel "t" with a local forward to an echo service, and the fault that it meets.

    The acts of a test, in this order: `begins`, the fault, `says_so`, the end of the fault,
    `recovers`. server: the sshd behind the link. port: the local port that leads to the service.
    near and far: where the program and its clients are, and where the servers are; host: the
    address of the link there.
    """

    def __init__(
        self,
        site: Site,
        proof: Proof,
        near: Place = nullcontext,
        far: Place = nullcontext,
        host: str = "127.0.0.1",
    ) -> None:
        self.site = site
        self.proof = proof
        self.host = host
        self.port = free_port()
        self.background = Background()
        self.server: Sshd
        self.link: Link
        self.program: Program
        self._near, self._far = near, far
        self._stack = ExitStack()
        self._before: Footprint | None = None
        self._events = 0
        self._witness: Witness

    def __enter__(self) -> Self:
        with self._far():
            self._stack.enter_context(self.background)
            # Without IPv4 alone, sshd calls it a success to bind a remote port on ::1 only.
            self.server = self.site.sshd(AddressFamily="inet")
            self.link = self.link_to(self.server)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._stack.close()

    # -- what a test makes ---------------------------------------------------------------------

    def link_to(self, server: Sshd) -> Link:
        """Create a link to a server of the site, whose key is known under the link's port too."""
        link = Link(self.background, server.port, self.host)
        self.site.know(f"[{self.host}]:{link.port}", public(server.host_key))
        return link

    def service(self, handler: Handler) -> Service:
        """Start a service where the servers are."""
        with self._far():
            return self.site.service(handler)

    def tunnel(self, *lines: str, local: tuple[str, ...] = ()) -> str:
        """Return the table of "t", with its forward to an echo service.

        lines: more of the table, or other values. local: more local forwards.
        """
        forwards = [f"{self.port}:{self.service(echo)}", *local]
        own = {_key(line) for line in lines}
        keys = [line for line in QUICK if _key(line) not in own]
        where = f"{self.host}:{self.link.port}"
        return tunnel_table(TUNNEL, where, *keys, f"local = {forwards}", *lines)

    # -- the acts ------------------------------------------------------------------------------

    def begins(
        self, *lines: str, local: tuple[str, ...] = (), tables: tuple[str, ...] = ()
    ) -> None:
        """Bring the tunnel up, see that data flows, and note what the supervisor holds.

        lines, local: see `tunnel`. tables: of other tunnels and hosts.
        """
        self.starts(self.site.program(self.tunnel(*lines, local=local), *tables))

    def starts(self, program: Program) -> None:
        """Do the same with a program of the test's own."""
        self.program = program
        with self._near():
            program.up()
        self._witness = self._stack.enter_context(Witness(program.socket))
        self.is_up()
        self.notes()

    def notes(self) -> None:
        """Note what the supervisor holds now: it has to return to that. Its past is forgotten."""
        wait_until(
            lambda: (
                not Footprint.of(self.pid).children and not self.program.tunnel(TUNNEL).connections
            ),
            within=MARGIN,
            complaint="it still has children or clients",
        )
        self._before = Footprint.of(self.pid)
        self._events = len(self._witness.seen)

    def says_so(self, words: str = "") -> FailureSnapshot:
        """Wait until status says of the tunnel what the fault's proof has, in time.

        words: what the failure's message has to have in it. Returns that failure.
        """
        state, cause = self.proof.says

        def reported() -> FailureSnapshot | None:
            for tunnel in self._witness.tunnels(TUNNEL, self._events):
                failure = tunnel.failure
                if failure is None or words not in failure.message:
                    continue
                if (tunnel.state, failure.cause) == (state, cause):
                    return failure
            return None

        return wait_until(
            reported,
            within=self.proof.noticed.seconds + MARGIN,
            complaint=lambda: f"{state}, {cause} ({words}) was never reported, but {self.states()}",
        )

    def recovers(self, slack: int = SLACK) -> None:
        """Insist that data flows again in time, and that nothing of the fault stays behind.

        slack: bytes of memory that may.
        """
        self.is_up(within=self.proof.flows.seconds + MARGIN)
        self.leaves_nothing_behind(slack)

    def stays_up(self, slack: int = SLACK) -> None:
        """Insist that the tunnel was up all the time, on one connection, and still carries data."""
        self.was_never_away()
        self.recovers(slack)

    # -- what they are made of -----------------------------------------------------------------

    @property
    def pid(self) -> int:
        """The supervisor's process."""
        return self.program.status().supervisor.pid

    def states(self) -> list[tuple[str, str | None]]:
        """Return the tunnel's states and causes since the fault."""
        tunnels = self._witness.tunnels(TUNNEL, self._events)
        return [(t.state, t.failure.cause if t.failure else None) for t in tunnels]

    def events(self) -> int:
        """How many events of tunnels there were."""
        return len(self._witness.seen)

    def is_up(self, within: float = MARGIN) -> None:
        """Check that the tunnel comes up and carries data, each within its number of seconds."""
        self.program.wait_for_state(TUNNEL, "up", within=within)
        self.carries_data()

    def came_up_again(self, times: int) -> None:
        """Wait until the tunnel has come up this many times after the first."""
        self.program.wait_for(TUNNEL, lambda tunnel: tunnel.restarts >= times, within=MARGIN)

    def failed_in_a_row(self) -> int:
        """Return the most consecutive failed attempts that status has shown since the fault."""
        tunnels = self._witness.tunnels(TUNNEL, self._events)
        return max((tunnel.attempt for tunnel in tunnels if tunnel.state == "backoff"), default=0)

    def was_never_away(self) -> None:
        """Check that status has shown nothing but "up", of one connection."""
        assert {state for state, _ in self.states()} <= {"up"}, self.states()
        assert self.program.tunnel(TUNNEL).restarts == 0

    def carries_data(self, timeout: float = MARGIN) -> None:
        """Insist that a client gets an answer, in time."""
        with self._near():
            assert exchange(self.port, b"are you there?", timeout) == b"are you there?"

    def holds(self) -> Footprint:
        """Return what the supervisor holds now."""
        return Footprint.of(self.pid)

    def server_descriptors(self) -> int:
        """How many descriptors the server's sessions hold: one for each channel, and some more."""
        return sum(psutil.Process(pid).num_fds() for pid in self.server.sessions())

    def leaves_nothing_behind(self, slack: int = SLACK) -> None:
        """Insist that the supervisor holds no more than before the fault, but for some memory."""
        before = self._before
        assert before is not None
        wait_until(
            lambda: self.holds().fits(before, slack),
            within=MARGIN,
            complaint=lambda: f"before: {before}; now: {self.holds()}",
        )


def _key(line: str) -> str:
    return line.partition(" = ")[0]
