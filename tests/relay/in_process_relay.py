"""A relay in the process of the test, and asyncssh clients with temporary keys."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import asyncssh

from tests.ssh.waiting import DEADLINE, until
from tunnelkeeper.core.forward_spec import TcpAddress
from tunnelkeeper.relay.config import RelayConfiguration, RelayLimits
from tunnelkeeper.relay.host_names import HostNames
from tunnelkeeper.relay.server import RelayServer

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from pathlib import Path

    from tunnelkeeper.clock import Clock
    from tunnelkeeper.core.relay_snapshot import ClientSnapshot

LOOPBACK = "127.0.0.1"
USER = "box"


def new_key() -> asyncssh.SSHKey:
    return asyncssh.generate_private_key("ssh-ed25519")


def public(key: asyncssh.SSHKey) -> str:
    """Return a public key as `type base64`."""
    return " ".join(key.export_public_key().decode().split()[:2])


@dataclass(slots=True)
class InProcessRelay:
    """A relay and the key that its authorized_keys accepts."""

    server: RelayServer
    configuration: RelayConfiguration
    authorized_keys: Path
    key: asyncssh.SSHKey = field(default_factory=new_key)

    @property
    def port(self) -> int:
        return self.server.addresses[0].port

    @property
    def clients(self) -> list[ClientSnapshot]:
        return self.server.status().clients

    @property
    def bound_targets(self) -> list[str]:
        """The targets of all bindings."""
        return [binding.listen for client in self.clients for binding in client.holds]

    def authorize(self, key: asyncssh.SSHKey, options: str = "") -> None:
        """Authorize another key."""
        line = f"{options} {public(key)}\n".lstrip()
        self.authorized_keys.write_text(self.authorized_keys.read_text() + line)

    @asynccontextmanager
    async def client(
        self,
        key: asyncssh.SSHKey | None = None,
        user: str = USER,
        port: int | None = None,
        **options: Any,
    ) -> AsyncIterator[asyncssh.SSHClientConnection]:
        """Connect a client. port: of a proxy in front of the relay."""
        async with (
            asyncio.timeout(DEADLINE),
            await asyncssh.connect(
                LOOPBACK,
                port or self.port,
                config=None,
                username=user,
                client_keys=[key or self.key],
                known_hosts=None,
                agent_path=None,
                **options,
            ) as connection,
        ):
            yield connection

    async def reload(self, **settings: Any) -> list[str]:
        """Reload, as the control method does; return the sentences. settings: that change."""
        self.configuration = replace(self.configuration, **settings)
        changes = self.server.reconfigure(self.configuration)
        return changes + await self.server.revalidate()

    async def wait_until_no_clients(self) -> None:
        """Wait until no client is connected."""
        await until(lambda: not self.clients)


@asynccontextmanager
async def serve_relay(
    folder: Path,
    *,
    limits: RelayLimits | None = None,
    clock: Clock | None = None,
    hosts: Callable[[str], list[str]] = lambda _: [],
    host_key: asyncssh.SSHKey | None = None,
    **settings: Any,
) -> AsyncIterator[InProcessRelay]:
    """Serve a relay on a free loopback port, without penalties: all clients share one address.

    All names are granted, and none is a host: no name server is asked.
    """
    authorized_keys = folder / "authorized_keys"
    configuration = replace(
        RelayConfiguration(
            listen=(TcpAddress(LOOPBACK, 0),),
            authorized_keys=str(authorized_keys),
            names=("*",),
            limits=limits or RelayLimits(penalties=False),
        ),
        **settings,
    )
    server = RelayServer(configuration, [host_key or new_key()], clock)
    server._context.host_names = HostNames(hosts)
    relay = InProcessRelay(server, configuration, authorized_keys)
    authorized_keys.write_text("")
    relay.authorize(relay.key)
    await server.open()
    try:
        yield relay
    finally:
        await server.close()
        await until(lambda: not server.status().clients)
