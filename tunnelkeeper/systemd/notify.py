"""The protocols of sd-daemon(3): notifications, the watchdog, passed sockets, journal priorities.

See sd_notify(3), sd_watchdog_enabled(3) and sd_listen_fds(3). What to send is decided elsewhere.
Without a service manager nothing is sent.
"""

from __future__ import annotations

import logging
import os
import socket
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, TextIO

if TYPE_CHECKING:
    from collections.abc import Mapping, MutableMapping

FIRST_DESCRIPTOR = 3
"""SD_LISTEN_FDS_START."""

_VARIABLES = (
    "NOTIFY_SOCKET",
    "WATCHDOG_USEC",
    "WATCHDOG_PID",
    "LISTEN_PID",
    "LISTEN_FDS",
    "LISTEN_FDNAMES",
)
_DESCRIPTORS_LIMIT = 1024
_SEND_TIMEOUT = 5.0
"""Seconds that a manager which reads nothing may hold us up; systemd reads at once."""


@dataclass(frozen=True, slots=True)
class ServiceManager:
    """Whoever started this service.

    address: where it listens for what we tell, or empty. watchdog: seconds within which it wants to
    hear from us, 0 for never. descriptors: the listening sockets that it opened for us.
    """

    address: str = ""
    watchdog: float = 0.0
    descriptors: tuple[int, ...] = ()

    @property
    def listens(self) -> bool:
        """Whether anybody hears what is told."""
        return bool(self.address)

    def notify(self, *assignments: str) -> None:
        """Send assignments such as READY=1; what cannot be delivered is lost without a word."""
        if not self.address:
            return
        # A name that begins with @ is abstract: the kernel wants a zero byte there (unix(7)).
        address = "\0" + self.address[1:] if self.address.startswith("@") else self.address
        # A restart of the manager leaves nobody there for a moment; the next message will do.
        with suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
            sock.settimeout(_SEND_TIMEOUT)
            sock.sendto("\n".join(assignments).encode("utf-8", "replace"), address)

    def sockets(self) -> list[socket.socket]:
        """The sockets that it opened, ours from now on; children do not inherit them.

        Raises OSError for a descriptor that is no socket.
        """
        found = []
        for descriptor in self.descriptors:
            os.set_inheritable(descriptor, False)
            found.append(socket.socket(fileno=descriptor))
            found[-1].setblocking(False)
        return found


def is_waiting(environment: MutableMapping[str, str]) -> bool:
    """Whether a service manager waits to hear that this process is ready."""
    return bool(environment.get("NOTIFY_SOCKET"))


def from_environment(environment: MutableMapping[str, str]) -> ServiceManager:
    """The manager that this process's environment names.

    Its variables are removed: a child that found them could speak in our name.
    """
    given = {name: environment.pop(name, "") for name in _VARIABLES}
    address = given["NOTIFY_SOCKET"]
    return ServiceManager(
        address=address if address[:1] in {"/", "@"} else "",
        watchdog=_number(given["WATCHDOG_USEC"]) / 1e6 if _is_us(given["WATCHDOG_PID"]) else 0.0,
        descriptors=_descriptors(given["LISTEN_FDS"]) if _is_us(given["LISTEN_PID"], "-") else (),
    )


def reloading() -> tuple[str, str]:
    """What is told before the configuration is read again; READY=1 follows when that is done."""
    return "RELOADING=1", f"MONOTONIC_USEC={time.monotonic_ns() // 1000}"


def _is_us(written: str, absent: str = "") -> bool:
    """Whether a variable is meant for this process; one without a process id is for any."""
    return written in {str(os.getpid()), absent}


def _descriptors(written: str) -> tuple[int, ...]:
    count = min(_number(written), _DESCRIPTORS_LIMIT)
    return tuple(range(FIRST_DESCRIPTOR, FIRST_DESCRIPTOR + count))


def _number(written: str) -> int:
    return int(written) if written.isascii() and written.isdigit() else 0


Sleep = Callable[[float], Awaitable[None]]
"""Waits so many seconds in the loop that is watched."""


async def ping_watchdog(manager: ServiceManager, sleep: Sleep) -> None:
    """Tell it twice as often as the manager wants to hear it, until cancelled."""
    while manager.watchdog:
        manager.notify("WATCHDOG=1")
        await sleep(manager.watchdog / 2)


PRIORITIES = {"critical": 2, "error": 3, "warning": 4, "info": 6, "debug": 7}
"""syslog(3)'s numbers for the levels of our log."""


def is_journal(stream: TextIO, environment: Mapping[str, str]) -> bool:
    """Whether what is written to a stream goes to the journal: $JOURNAL_STREAM names its pipe."""
    device, _, inode = environment.get("JOURNAL_STREAM", "").partition(":")
    try:
        found = os.fstat(stream.fileno())
    except (OSError, ValueError):
        return False
    return (device, inode) == (str(found.st_dev), str(found.st_ino))


def journal_prefix(level: str) -> str:
    """What stands before a line of a level: `<3>` for an error."""
    return f"<{PRIORITIES.get(level, PRIORITIES['info'])}>"


class PriorityFormatter(logging.Formatter):
    """Formats what Python's logging writes for the journal, each line of it with the priority."""

    def format(self, record: logging.LogRecord) -> str:
        """See logging.Formatter."""
        start = journal_prefix(record.levelname.lower())
        return "\n".join(f"{start}{line}" for line in super().format(record).splitlines())
