"""What the control server asks of a supervisor, and the ways it may decline; no implementation."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, ClassVar, Protocol

from tunnelkeeper.control.jsonrpc import ErrorCode

if TYPE_CHECKING:
    import socket

    from tunnelkeeper.control.payloads import Event
    from tunnelkeeper.core.snapshot import LogRecord, StatusSnapshot

Listener = Callable[["Event"], None]
Unsubscribe = Callable[[], None]


class RequestError(Exception):
    """A request was understood and cannot be granted; the text is for the person who asked."""

    code: ClassVar[ErrorCode] = ErrorCode.FAILED
    problems: tuple[str, ...] = ()


class RequestFailedError(RequestError):
    """What was asked for is not so, or did not come about: a target that cannot be reached."""


class NoSuchTunnelError(RequestError):
    """No tunnel has this name."""

    code = ErrorCode.NOT_FOUND

    def __init__(self, name: str) -> None:
        super().__init__(f"no tunnel is named {name!r}; `tunnelkeeper status` lists them")


class NoSuchGroupError(RequestError):
    """No tunnel is in this group."""

    code = ErrorCode.NOT_FOUND

    def __init__(self, group: str) -> None:
        super().__init__(
            f"no tunnel is in a group {group!r}; `groups` in the config file names them"
        )


class ConfigRejectedError(RequestError):
    """The config file has problems, one line each; nothing was changed."""

    code = ErrorCode.BAD_CONFIG

    def __init__(self, problems: list[str]) -> None:
        super().__init__("the config file has problems; nothing was changed")
        self.problems = tuple(problems)


class SupervisorApi(Protocol):
    """What the control server calls, always in the event loop's thread.

    Any method may raise Declined; an unknown name is NoSuchTunnel and changes nothing.
    """

    def status(self, names: list[str] | None) -> StatusSnapshot:
        """These tunnels, in this order; None: all, in the order of the config file."""
        ...

    async def start(self, names: list[str], group: str | None) -> list[str]:
        """Want these tunnels up, without waiting for it; neither names nor group: every autostart.

        Returns the names meant, whether or not they were wanted before.
        """
        ...

    async def stop(self, names: list[str], group: str | None) -> list[str]:
        """Want these tunnels down; returns when they hold no connection and no listener."""
        ...

    async def restart(
        self, names: list[str], group: str | None, *, graceful: bool = False
    ) -> list[str]:
        """Close these tunnels and connect again at once, without waiting for it.

        graceful: connect first, and close the old connection when its transfers are done.
        """
        ...

    async def reload(self) -> list[str]:
        """Read the config file again; returns a sentence for each thing that changed.

        Raises BadConfig, and then nothing has changed.
        """
        ...

    def logs(self, name: str | None, lines: int) -> list[LogRecord]:
        """The newest lines of a tunnel, or of all and the supervisor itself; newest last."""
        ...

    def shutdown(self) -> None:
        """Begin to end; returns at once, so that the answer can still be sent."""
        ...

    def subscribe(self, listener: Listener, counters_every: float | None) -> Unsubscribe:
        """Hand every event to the listener, in the loop's thread; it does not raise.

        counters_every: seconds from one CountersEvent to the next; None for none.
        """
        ...

    async def connect(
        self, name: str, target: str, sock: socket.socket, early: bytes, confirm: Callable[[], None]
    ) -> None:
        """Carry a client's bytes to a target through a tunnel's connection; returns at the end.

        sock is connected, non-blocking and this method's alone from the call on; the server closes
        it afterwards if that has not happened. early: what the client sent before `confirm`, to be
        passed on first. Once the target is reached, and before anything is written to sock, call
        confirm() once: it answers the client. It raises OSError when the client is gone.
        Half-close is carried through both ways. Until confirm() was called a raised Declined
        (NoSuchTunnel, NotSo with the reason) or TimeoutError becomes the client's answer.
        """
        ...
