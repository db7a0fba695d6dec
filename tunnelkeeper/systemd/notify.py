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
from functools import cache
from typing import TYPE_CHECKING, TextIO

from msgspec import Struct

from tunnelkeeper.core.message import Message
from tunnelkeeper.net.line_writer import LineWriter

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
"""Seconds to wait for a manager that does not read. systemd reads at once."""
_WAITING_LIMIT = 20
"""Messages that wait for such a manager: only the newest matter."""


PRIORITIES = {"critical": 2, "error": 3, "warning": 4, "info": 6, "debug": 7}
"""The numbers of syslog(3) for the levels of our log."""


class ServiceManager(Struct, frozen=True):
    """The service manager that started this process, if any.

    address: its notification socket, or empty. watchdog: the interval in seconds within which it
    expects a ping, 0 for none. descriptors: listening sockets that it passed to us.
    """

    address: str = ""
    watchdog: float = 0.0
    descriptors: tuple[int, ...] = ()

    @property
    def is_listening(self) -> bool:
        """Whether it receives notifications."""
        return bool(self.address)

    def notify(self, *assignments: str) -> None:
        """Send assignments such as READY=1. A message that cannot be delivered is dropped.

        A manager that does not read at the moment delays nothing: a thread sends the message.
        """
        if not self.address:
            return
        message = "\n".join(assignments)
        waiting = _SENDERS.get(self.address)
        if waiting is not None and not waiting.is_idle:
            waiting.write(message)
            return
        # The socket is absent for a moment while the manager restarts; the next message arrives.
        with suppress(OSError):
            try:
                _send(self.address, message, timeout=0.0)
            except BlockingIOError:
                sender = LineWriter(_Sender(self.address), None, _WAITING_LIMIT)
                _SENDERS.setdefault(self.address, sender).write(message)

    def sockets(self) -> list[socket.socket]:
        """Return the passed sockets. The caller owns them; children do not inherit them.

        Raises OSError for a descriptor that is not a socket.
        """
        found = []
        for descriptor in self.descriptors:
            os.set_inheritable(descriptor, False)
            found.append(socket.socket(fileno=descriptor))
            found[-1].setblocking(False)
        return found


class _Sender:
    """Sends the messages that a manager did not read at once."""

    def __init__(self, address: str) -> None:
        self._address = address

    def write(self, line: str, level: int) -> None:
        _send(self._address, line, _SEND_TIMEOUT)


_SENDERS: dict[str, LineWriter] = {}
"""The threads that wait for a manager, by its address."""


def _send(name: str, message: str, timeout: float) -> None:
    # A name that begins with @ is abstract: it begins with a zero byte (unix(7)).
    address = "\0" + name[1:] if name.startswith("@") else name
    sock = _socket(timeout)
    sock.settimeout(timeout)
    sock.sendto(message.encode("utf-8", "replace"), address)


@cache
def _socket(_timeout: float) -> socket.socket:
    """Return the socket for all messages with one timeout; the threads have another one.

    It stays open: without a descriptor for it, a process that is out of descriptors would miss a
    ping of the watchdog, and the manager would end it with all its connections.
    """
    return socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)


def is_waiting(environment: MutableMapping[str, str]) -> bool:
    """Return whether a service manager waits for this process to be ready."""
    return bool(environment.get("NOTIFY_SOCKET"))


def from_environment(environment: MutableMapping[str, str]) -> ServiceManager:
    """Return the manager that the environment names.

    Its variables are removed, so that no child can send notifications in our name.
    """
    given = {name: environment.pop(name, "") for name in _VARIABLES}
    address = given["NOTIFY_SOCKET"]
    return ServiceManager(
        address=address if address[:1] in {"/", "@"} else "",
        watchdog=_parse_number(given["WATCHDOG_USEC"]) / 1e6
        if _is_for_this_process(given["WATCHDOG_PID"])
        else 0.0,
        descriptors=_descriptors(given["LISTEN_FDS"])
        if _is_for_this_process(given["LISTEN_PID"], "-")
        else (),
    )


def reloading_assignments() -> tuple[str, str]:
    """Return the assignments to send before a reload. READY=1 follows when it is done."""
    return "RELOADING=1", f"MONOTONIC_USEC={time.monotonic_ns() // 1000}"


def _is_for_this_process(written: str, absent: str = "") -> bool:
    """Return whether a variable is meant for this process, by the process id in it."""
    return written in {str(os.getpid()), absent}


def _descriptors(written: str) -> tuple[int, ...]:
    count = min(_parse_number(written), _DESCRIPTORS_LIMIT)
    return tuple(range(FIRST_DESCRIPTOR, FIRST_DESCRIPTOR + count))


def _parse_number(written: str) -> int:
    return int(written) if written.isascii() and written.isdigit() else 0


Sleep = Callable[[float], Awaitable[None]]
"""Sleeps in the event loop that the watchdog supervises."""


async def ping_watchdog(manager: ServiceManager, sleep: Sleep) -> None:
    """Ping the watchdog at half its interval until cancelled.

    A blocked event loop sends no ping, and the manager restarts the service.
    """
    while manager.watchdog:
        manager.notify("WATCHDOG=1")
        await sleep(manager.watchdog / 2)


def is_journal(stream: TextIO, environment: Mapping[str, str]) -> bool:
    """Return whether a stream goes to the journal: $JOURNAL_STREAM names its pipe."""
    device, _, inode = environment.get("JOURNAL_STREAM", "").partition(":")
    try:
        found = os.fstat(stream.fileno())
    except (OSError, ValueError):
        return False
    return (device, inode) == (str(found.st_dev), str(found.st_ino))


def journal_prefix(level: str) -> str:
    """Return the priority prefix of a line: `<3>` for an error."""
    return f"<{PRIORITIES.get(level, PRIORITIES['info'])}>"


class PriorityFormatter(logging.Formatter):
    """A logging formatter that prefixes each line with the priority for the journal.

    A hint, `extra={"hint": ...}` of the logging call, is the last line.
    """

    def format(self, record: logging.LogRecord) -> str:
        """Format a record."""
        start = journal_prefix(record.levelname.lower())
        message = Message(super().format(record), getattr(record, "hint", ""))
        return "\n".join(f"{start}{line}" for line in str(message).splitlines())
