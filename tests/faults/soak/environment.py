"""The environment of a soak run: ten tunnels of all kinds, their servers, and links to break."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

from tests.e2e.keys import public
from tests.e2e.ports import free_port
from tests.e2e.relay import Relay
from tests.e2e.sandbox import Sandbox, host_table, tunnel_table
from tests.e2e.services import echo
from tests.faults.background_loop import BackgroundLoop
from tests.faults.link import Link
from tests.faults.scenario import QUICK, QUICK_HOST
from tests.faults.servers import (
    close_at_once,
    drip_banner,
    send_banner_then_garbage,
    send_garbage,
    serving,
    stay_silent,
)
from tests.faults.soak.endpoints import Endpoint

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path
    from types import TracebackType

    from tests.e2e.server_process import ServerProcess
    from tests.e2e.sshd import Sshd

TUNNEL_KEYS = QUICK[len(QUICK_HOST) :]
"""The keys of QUICK that belong to a tunnel table, not to a host table."""

CHECK = 'check = "tcp", check_interval = 2'
SSHD = {
    "AddressFamily": "inet",  # as in the Scenario of the fault tests
    "LogLevel": "INFO",
    "StreamLocalBindUnlink": "yes",  # else the socket files of a killed server block the next one
    "ClientAliveInterval": "2",
    "ClientAliveCountMax": "2",
}
RELAY = ('permit_open = ["127.0.0.1:*"]', "[limits]", "penalties = false", *QUICK_HOST[:2])
"""Its services are on its loopback, and all clients share one address. Its keepalives are those
of the tunnels."""


@dataclass(frozen=True, slots=True)
class LinkedServer:
    """A server and the link through which all clients reach it."""

    name: str
    process: ServerProcess
    port: int
    link: Link


class Environment:
    """The servers a, b and c (sshd) and r (our relay), and a program with tunnels to them."""

    def __init__(self, directory: Path) -> None:
        self._stack = ExitStack()
        self.sandbox = Sandbox(directory, self._stack)
        self.background = BackgroundLoop()
        self.servers: dict[str, LinkedServer] = {}
        self.endpoints: list[Endpoint] = []
        self.impostors: list[int] = []
        self._tables: list[str] = []

    def __enter__(self) -> Self:
        with ExitStack() as undo:
            undo.push(self._stack)
            self._stack.enter_context(self.background)
            for name in ("a", "b", "c"):
                sshd = self.sandbox.sshd(known=False, **SSHD)
                self._add_server(name, sshd, sshd.port)
            relay = self._start_relay()
            self._add_server("r", relay, relay.port)
            impostors = (
                stay_silent,
                send_garbage,
                send_banner_then_garbage,
                drip_banner,
                close_at_once,
            )
            self.impostors = [self.background.enter(serving(handler)) for handler in impostors]
            self._add_tunnels()
            self.program = self.sandbox.program(*self._tables)
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
        """Start the supervisor and wait until it answers."""
        self.program.up()

    @property
    def pid(self) -> int:
        """The process ID of the supervisor."""
        return self.program.status().supervisor.pid

    def config(self, *extra: str) -> str:
        """Return the text of the config file with these tables added."""
        return self.sandbox.config(*self._tables, *extra)

    def _add_server(self, name: str, server: Sshd | Relay, port: int) -> None:
        link = Link(self.background, port)
        self.sandbox.add_known_host(f"[127.0.0.1]:{link.port}", public(server.host_key))
        self.servers[name] = LinkedServer(name, server, port, link)
        self._tables.append(host_table(name, link.port, *QUICK_HOST))

    def _start_relay(self) -> Relay:
        relay = Relay(self.sandbox.subdirectory("relay"), self.sandbox.authorized_keys, *RELAY)
        self._stack.callback(relay.close)
        relay.start()
        return relay

    def _add_tunnels(self) -> None:
        service = self.sandbox.service(echo)
        path = self.sandbox.directory / "echo.sock"
        self.sandbox.service(echo, at=path)
        local_socket, remote_socket = (
            self.sandbox.directory / name for name in ("here.sock", "there.sock")
        )

        port = free_port()
        checked = f'local = [{{ listen = "{port}", connect = "{service}", {CHECK} }}]'
        self._add_tunnel("local", ["a"], checked, address=port)
        port = free_port()
        self._add_tunnel("remote", ["a"], f'remote = "{port}:{service}"', address=port, remote=True)
        port = free_port()
        self._add_tunnel(
            "socks", ["b"], f'socks = "{port}"', address=port, socks_target=service.port
        )
        self._add_tunnel("unix", ["b"], f'local = "{local_socket}:{path}"', address=local_socket)
        self._add_tunnel(
            "remote-unix",
            ["c"],
            f'remote = "{remote_socket}:{path}"',
            address=remote_socket,
            remote=True,
        )
        port = free_port()
        self._add_tunnel("chain", ["a", "b"], f'local = "{port}:{service}"', address=port)
        port = free_port()
        self._add_tunnel(
            "chain-of-three",
            ["a", "b", "c"],
            f'remote = "{port}:{path}"',
            address=port,
            remote=True,
        )
        port = free_port()
        self._add_tunnel("relay", ["r"], f'local = "{port}:{service}"', address=port)
        port = free_port()
        self._add_tunnel(
            "relay-back", ["r"], f'remote = "{port}:{service}"', address=port, remote=True
        )
        port = free_port()
        self._add_tunnel(
            "behind-relay", ["r", "c"], f'socks = "{port}"', address=port, socks_target=service.port
        )

    def _add_tunnel(
        self,
        name: str,
        hosts: Sequence[str],
        forward: str,
        *,
        address: int | Path,
        socks_target: int = 0,
        remote: bool = False,
    ) -> None:
        """Add a tunnel with one forward through these hosts, and its endpoint."""
        *jumps, host = hosts
        lines = [f"jump = {jumps}"] if jumps else []
        self._tables.append(tunnel_table(name, host, *TUNNEL_KEYS, *lines, forward))
        self.endpoints.append(
            Endpoint(name, name, address, frozenset(hosts), socks_target, len(hosts), remote)
        )
