"""What a soak run plays on: ten tunnels of every kind, their servers, and the links to break."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

from tests.e2e.keys import public
from tests.e2e.ports import free_port
from tests.e2e.relay import Relay
from tests.e2e.services import echo
from tests.e2e.site import Site, host_table, tunnel_table
from tests.faults.background import Background
from tests.faults.link import Link
from tests.faults.scene import QUICK, QUICK_HOST
from tests.faults.servers import (
    drip_a_banner,
    hang_up,
    serving,
    stay_silent,
    talk_garbage,
    turn_to_garbage,
)
from tests.faults.soak.entries import Entry

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path
    from types import TracebackType

    from tests.e2e.server_process import ServerProcess
    from tests.e2e.sshd import Sshd

OWN = QUICK[len(QUICK_HOST) :]
"""The keys of QUICK that a tunnel has and a host has not."""

CHECK = 'check = "tcp", check_interval = 2'
SSHD = {
    "AddressFamily": "inet",  # as the scene of the fault tests has it
    "LogLevel": "INFO",
    "StreamLocalBindUnlink": "yes",  # else a killed server's socket files stay in the way
    "ClientAliveInterval": "2",
    "ClientAliveCountMax": "2",
}
RELAY = ('permit_open = ["127.0.0.1:*"]', "[limits]", "penalties = false", *QUICK_HOST[:2])
"""Its loopback is where the services are, and every client comes from one address. Its keepalives
are those of the tunnels."""


@dataclass(frozen=True, slots=True)
class Place:
    """A server and the link that all reach it by."""

    name: str
    server: ServerProcess
    port: int
    link: Link


class Stage:
    """The servers a, b and c (sshd) and r (our relay), and a program that knows them."""

    def __init__(self, directory: Path) -> None:
        self._stack = ExitStack()
        self.site = Site(directory, self._stack)
        self.background = Background()
        self.places: dict[str, Place] = {}
        self.entries: list[Entry] = []
        self.impostors: list[int] = []
        self._tables: list[str] = []

    def __enter__(self) -> Self:
        with ExitStack() as undo:
            undo.push(self._stack)
            self._stack.enter_context(self.background)
            for name in ("a", "b", "c"):
                sshd = self.site.sshd(known=False, **SSHD)
                self._place(name, sshd, sshd.port)
            relay = self._relay()
            self._place("r", relay, relay.port)
            impostors = (stay_silent, talk_garbage, turn_to_garbage, drip_a_banner, hang_up)
            self.impostors = [self.background.enter(serving(each)) for each in impostors]
            self._raise_tunnels()
            self.program = self.site.program(*self._tables)
            undo.pop_all()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._stack.__exit__(kind, error, traceback)

    def start(self) -> None:
        """Start the supervisor; return when it answers."""
        self.program.up()

    @property
    def pid(self) -> int:
        """The supervisor's process."""
        return self.program.status().supervisor.pid

    def config(self, *extra: str) -> str:
        """Return the text of the config file with these tables added."""
        return self.site.config(*self._tables, *extra)

    def _place(self, name: str, server: Sshd | Relay, port: int) -> None:
        link = Link(self.background, port)
        self.site.know(f"[127.0.0.1]:{link.port}", public(server.host_key))
        self.places[name] = Place(name, server, port, link)
        self._tables.append(host_table(name, link.port, *QUICK_HOST))

    def _relay(self) -> Relay:
        relay = Relay(self.site.subdirectory("relay"), self.site.authorized_keys, *RELAY)
        self._stack.callback(relay.close)
        relay.start()
        return relay

    def _raise_tunnels(self) -> None:
        service = self.site.service(echo)
        path = self.site.directory / "echo.sock"
        self.site.service(echo, at=path)
        here, there = (self.site.directory / name for name in ("here.sock", "there.sock"))

        port = free_port()
        checked = f'local = [{{ listen = "{port}", connect = "{service}", {CHECK} }}]'
        self._tunnel("local", ["a"], checked, at=port)
        port = free_port()
        self._tunnel("remote", ["a"], f'remote = "{port}:{service}"', at=port, remote=True)
        port = free_port()
        self._tunnel("socks", ["b"], f'socks = "{port}"', at=port, socks=service.port)
        self._tunnel("unix", ["b"], f'local = "{here}:{path}"', at=here)
        self._tunnel("remote-unix", ["c"], f'remote = "{there}:{path}"', at=there, remote=True)
        port = free_port()
        self._tunnel("chain", ["a", "b"], f'local = "{port}:{service}"', at=port)
        port = free_port()
        self._tunnel(
            "chain-of-three", ["a", "b", "c"], f'remote = "{port}:{path}"', at=port, remote=True
        )
        port = free_port()
        self._tunnel("relay", ["r"], f'local = "{port}:{service}"', at=port)
        port = free_port()
        self._tunnel("relay-back", ["r"], f'remote = "{port}:{service}"', at=port, remote=True)
        port = free_port()
        self._tunnel("behind-relay", ["r", "c"], f'socks = "{port}"', at=port, socks=service.port)

    def _tunnel(
        self,
        name: str,
        way: Sequence[str],
        forward: str,
        *,
        at: int | Path,
        socks: int = 0,
        remote: bool = False,
    ) -> None:
        """Return a tunnel with one forward through these servers."""
        *jumps, host = way
        lines = [f"jump = {jumps}"] if jumps else []
        self._tables.append(tunnel_table(name, host, *OWN, *lines, forward))
        self.entries.append(Entry(name, name, at, frozenset(way), socks, len(way), remote))
