"""Three machines in network namespaces: client and box reach the relay, but not each other.

    client 10.77.1.2 ---- 10.77.1.1 relay 10.77.2.1 ---- 10.77.2.2 box
                              10.77.0.1

The addresses exist inside the namespaces only. Needs Linux, iproute2 and root.
"""

from __future__ import annotations

import ctypes
import fcntl
import os
import secrets
import subprocess
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from tests.requirements import absent, require

if TYPE_CHECKING:
    from collections.abc import Iterator

RELAY = "10.77.0.1"
"""The address of the relay for both other machines."""

_CLONE_NEWNET = 0x40000000  # linux/sched.h
_UPLINK = "uplink"
_UNUSED_MAC = "02:00:00:00:00:01"
"""A hardware address that no interface has: frames to it are dropped silently."""


class Machine:
    """One network namespace with its loopback interface up."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.ip("link", "set", "lo", "up")

    def ip(self, *arguments: str) -> None:
        """Change the network of this machine with the command `ip`."""
        _ip("-n", self.name, *arguments)

    @contextmanager
    def entered(self) -> Iterator[None]:
        """Enter the namespace: this thread creates sockets and processes on this machine.

        The servers, programs and clients of the other tests then work unchanged.
        """
        with (
            Path("/proc/thread-self/ns/net").open("rb") as own,
            Path("/run/netns", self.name).open("rb") as target,
        ):
            _set_namespace(target.fileno())
            try:
                yield
            finally:
                _set_namespace(own.fileno())


class Network:
    """The three machines. box_address: the current address of the box."""

    def __init__(self, client: Machine, relay: Machine, box: Machine) -> None:
        self.client = client
        self.relay = relay
        self.box = box
        self.box_address = "10.77.2.2"
        relay.ip("address", "add", f"{RELAY}/32", "dev", "lo")
        self._link(client, "to-client", "10.77.1.1")
        self._link(box, "to-box", "10.77.2.1")
        _give_address(client, "10.77.1.2", gateway="10.77.1.1")
        _give_address(box, self.box_address, gateway="10.77.2.1")

    @contextmanager
    def box_cut_off(self) -> Iterator[None]:
        """Silently drop packets between the box and the relay.

        Afterwards the box has another address, as after a new dial-up. So no late packet of its
        old connections can reach the relay and end them.
        """
        with self._cut_off(self.box, "to-box", self.box_address, "10.77.2.1"):
            yield
        self.box_address = "10.77.2.3"
        self.box.ip("address", "flush", "dev", _UPLINK)
        _give_address(self.box, self.box_address, gateway="10.77.2.1")

    @contextmanager
    def client_cut_off(self) -> Iterator[None]:
        """Silently drop packets between the client and the relay."""
        with self._cut_off(self.client, "to-client", "10.77.1.2", "10.77.1.1"):
            yield

    @contextmanager
    def _cut_off(self, machine: Machine, device: str, address: str, gateway: str) -> Iterator[None]:
        ends = (self.relay, device, address), (machine, _UPLINK, gateway)
        for end, interface, neighbour in ends:
            _neighbour(
                end, interface, neighbour, "replace", "lladdr", _UNUSED_MAC, "nud", "permanent"
            )
        yield
        for end, interface, neighbour in ends:
            _neighbour(end, interface, neighbour, "delete")

    def _link(self, machine: Machine, device: str, gateway: str) -> None:
        """Connect a machine to the relay, whose end of the link is the gateway."""
        own_end, relay_end = ["name", _UPLINK], ["name", device, "netns", self.relay.name]
        machine.ip("link", "add", *own_end, "type", "veth", "peer", *relay_end)
        machine.ip("link", "set", _UPLINK, "up")
        self.relay.ip("address", "add", f"{gateway}/24", "dev", device)
        self.relay.ip("link", "set", device, "up")


@contextmanager
def new_network() -> Iterator[Network]:
    """Create a network and remove it; its processes must have ended before."""
    if os.geteuid() != 0:
        absent("network namespaces need root")
    token = secrets.token_hex(3)
    with ExitStack() as stack:
        machines = [
            stack.enter_context(_new_machine(f"tk{token}-{role}"))
            for role in ("client", "relay", "box")
        ]
        yield Network(*machines)


@contextmanager
def _new_machine(name: str) -> Iterator[Machine]:
    # The first `ip netns add` mounts /run/netns; two at once can conflict.
    with Path(__file__).open("rb") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        try:
            _ip("netns", "add", name)
        except subprocess.CalledProcessError as error:
            absent(f"this machine does not allow network namespaces: {error.stderr.strip()}")
    try:
        yield Machine(name)
    finally:
        _ip("netns", "delete", name)


def _give_address(machine: Machine, address: str, gateway: str) -> None:
    machine.ip("address", "add", f"{address}/24", "dev", _UPLINK)
    machine.ip("route", "replace", RELAY, "via", gateway)


def _neighbour(machine: Machine, device: str, address: str, verb: str, *entry: str) -> None:
    machine.ip("neighbour", verb, address, "dev", device, *entry)


def _ip(*arguments: str) -> None:
    subprocess.run([require("ip"), *arguments], check=True, capture_output=True, text=True)


def _set_namespace(descriptor: int) -> None:
    """Move this thread to a namespace; os.setns() needs Python 3.12."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.setns(descriptor, _CLONE_NEWNET) != 0:
        raise OSError(ctypes.get_errno(), "setns failed")
