"""The relay under attack: a process of its own, its memory and its descriptors."""

from __future__ import annotations

import asyncio
import socket
import sys
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import asyncssh
import psutil

from tests.e2e.keys import make_key, public
from tests.e2e.ports import free_port
from tests.e2e.waiting import wait_until
from tests.relay.openssh_client import DESTINATION
from tests.relay.relay_process import USER, RelayProcess, start_relay

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from tests.e2e.sandbox import Sandbox

HOST = "127.0.0.1"
SAMPLE_INTERVAL = 0.1


@dataclass(slots=True)
class Usage:
    """The highest values that were seen. memory: resident bytes of the relay's process."""

    memory: int = 0
    descriptors: int = 0


@dataclass(slots=True)
class Victim:
    """A relay with an echo service behind it.

    The honest client has the sandbox's key; the attacker has a key of its own, as the same user.
    Both may open `echo_port` and, if they are named in `permit_open`, other targets.
    """

    relay: RelayProcess
    sandbox: Sandbox
    echo_port: int
    attacker_key: Path
    usage: Usage = field(default_factory=Usage)

    @property
    def port(self) -> int:
        """The port of the relay."""
        return self.relay.port

    @property
    def process(self) -> psutil.Process:
        """The process of the relay."""
        return psutil.Process(self.relay.pid)

    def ssh(self, *arguments: str) -> list[str]:
        """Return the command line of ssh for the honest client."""
        return [*self.sandbox.ssh(self.port), *arguments, DESTINATION]

    @asynccontextmanager
    async def attacker(self, **options: Any) -> AsyncIterator[asyncssh.SSHClientConnection]:
        """Log in as the attacker; the relay may end this connection at any time."""
        connection = await asyncssh.connect(
            HOST,
            self.port,
            config=None,
            username=USER,
            client_keys=[str(self.attacker_key)],
            known_hosts=None,
            agent_path=None,
            **options,
        )
        try:
            yield connection
        finally:
            connection.abort()
            with suppress(asyncssh.Error, OSError):
                await connection.wait_closed()

    @asynccontextmanager
    async def watched(self) -> AsyncIterator[Usage]:
        """Record the highest memory and number of descriptors during the block."""
        self.usage = Usage()
        async with asyncio.TaskGroup() as tasks:
            watcher = tasks.create_task(self._watch())
            try:
                yield self.usage
            finally:
                watcher.cancel()
                self._sample()

    async def _watch(self) -> None:
        while True:
            self._sample()
            await asyncio.sleep(SAMPLE_INTERVAL)

    def _sample(self) -> None:
        with suppress(psutil.NoSuchProcess):
            self.usage.memory = max(self.usage.memory, self.process.memory_info().rss)
            self.usage.descriptors = max(self.usage.descriptors, self.process.num_fds())


def start_victim(sandbox: Sandbox, **settings: Any) -> Victim:
    """Start a relay and an echo service that its clients may open.

    settings: keys of relay.toml. `permit_open` lists what may be opened besides the echo service.
    """
    echo_port = free_port()
    sandbox.spawn(sys.executable, "-m", "tests.attacks.echo_server", str(echo_port))
    wait_until(lambda: answers(echo_port), message="the echo service did not start")
    permitted = [f"{HOST}:{echo_port}", *settings.pop("permit_open", [])]
    limits = {"penalties": False, **settings.pop("limits", {})}  # all clients share one address
    attacker_key = make_key(sandbox.directory / "attacker")
    with sandbox.authorized_keys.open("a") as file:
        file.write(public(attacker_key) + "\n")
    relay = start_relay(sandbox, permit_open=permitted, limits=limits, **settings)
    return Victim(relay, sandbox, echo_port, attacker_key)


def answers(port: int) -> bool:
    """Return whether something listens on a port of the loopback address."""
    try:
        socket.create_connection((HOST, port), 1).close()
    except OSError:
        return False
    return True
