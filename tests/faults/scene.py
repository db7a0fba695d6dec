"""One tunnel to the real sshd over a link that can be broken: what it must say, and come back."""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING, Self

from tests.e2e.clients import exchange
from tests.e2e.keys import public
from tests.e2e.ports import free_port
from tests.e2e.services import echo
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

QUICK = (
    f"keepalive_interval = {KEEPALIVE.interval:g}",
    f"keepalive_count_max = {KEEPALIVE.count_max}",
    f"connect_timeout = {CONNECT_TIMEOUT:g}",
    "gate_time = 1",
    f"backoff = {{ initial = 0.2, max = {BACKOFF_MAX:g} }}",
)
"""The keys of a tunnel that notices soon and does not wait long."""

TUNNEL = "t"


class Scene:
    """The tunnel "t" with a local forward to an echo service, and the fault that it meets.

    The acts of a test, in this order: `begins`, the fault, `says_so`, the end of the fault,
    `recovers`. server: the sshd behind the link. port: the local port that leads to the service.
    """

    def __init__(self, site: Site, proof: Proof) -> None:
        self.site = site
        self.proof = proof
        self.port = free_port()
        self.background = Background()
        self._stack = ExitStack()
        self._before: Footprint | None = None
        self._events = 0
        self._witness: Witness
        self.server: Sshd
        self.link: Link
        self.program: Program

    def __enter__(self) -> Self:
        self._stack.enter_context(self.background)
        self.server = self.site.sshd()
        self.link = self.link_to(self.server)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._stack.close()

    def link_to(self, server: Sshd) -> Link:
        """A link to another server of the site, whose key is known under the link's port too."""
        link = Link(self.background, server.port)
        self.site.know(f"[127.0.0.1]:{link.port}", public(server.host_key))
        return link

    def begins(self, *lines: str, tables: tuple[str, ...] = ()) -> None:
        """Bring the tunnel up, see that data flows, and remember what the supervisor holds.

        lines: more of the tunnel's table. tables: of other tunnels.
        """
        local = f'local = "{self.port}:{self.site.service(echo)}"'
        table = tunnel_table(TUNNEL, self.link.port, *QUICK, local, *lines)
        self.starts(self.site.program(table, *tables))

    def starts(self, program: Program) -> None:
        """The same with a program of the test's own, whose tunnel "t" leads to a service."""
        self.program = program
        program.up()
        self._witness = self._stack.enter_context(Witness(program.socket))
        program.wait_for_state(TUNNEL, "up", within=MARGIN)
        self.carries_data()
        self.remembers()

    def remembers(self) -> None:
        """Take what the supervisor holds now for what it has to return to, and forget its past."""
        program = self.program
        wait_until(
            lambda: not Footprint.of(self.pid).children and not program.tunnel(TUNNEL).connections,
            within=MARGIN,
            complaint="it still has children or clients",
        )
        self._before = Footprint.of(self.pid)
        self._events = len(self._witness.seen)

    @property
    def pid(self) -> int:
        """The supervisor's process."""
        return self.program.status().supervisor.pid

    def says_so(self) -> None:
        """Wait until status says of the tunnel what the fault's proof has, in time."""
        wait_until(
            self._has_said_so,
            within=self.proof.noticed.seconds + MARGIN,
            complaint=lambda: f"{self.proof.says} was never said, but {self.said()}",
        )

    def said(self) -> list[tuple[str, str | None]]:
        """The states and causes that the tunnel has gone through since the fault."""
        return self._witness.states(TUNNEL, self._events)

    def carries_data(self, timeout: float = MARGIN) -> None:
        """Insist that a client gets an answer, in time."""
        assert exchange(self.port, b"are you there?", timeout) == b"are you there?"

    def recovers(self, slack: int = SLACK) -> None:
        """Insist that data flows again in time, and that nothing of the fault stays behind.

        slack: bytes of memory that may.
        """
        within = self.proof.flows.seconds + MARGIN
        self.program.wait_for_state(TUNNEL, "up", within=within)
        self.carries_data()
        self.leaves_nothing_behind(slack)

    def stays_up(self) -> None:
        """Insist that the tunnel was up all the time, on one connection, and still carries data."""
        assert {state for state, _ in self.said()} <= {"up"}, self.said()
        assert self.program.tunnel(TUNNEL).restarts == 0
        self.recovers()

    def leaves_nothing_behind(self, slack: int = SLACK) -> None:
        """Insist that the supervisor holds no more than before the fault, but for some memory."""
        before = self._before
        assert before is not None
        pid = self.pid
        wait_until(
            lambda: Footprint.of(pid).fits(before, slack),
            within=MARGIN,
            complaint=lambda: f"before: {before}; now: {Footprint.of(pid)}",
        )

    def _has_said_so(self) -> bool:
        state, *cause = self.proof.says
        return any(
            state == said and (not cause or because in cause) for said, because in self.said()
        )
