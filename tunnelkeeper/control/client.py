"""The client of the control socket: blocking, for front ends that must start fast.

It imports neither asyncio nor anything of SSH.
"""

from __future__ import annotations

import errno
import itertools
import socket
import time
from collections import deque
from typing import TYPE_CHECKING, Self, TypeVar

import msgspec

from tunnelkeeper.control.jsonrpc import (
    ErrorCode,
    ErrorResponse,
    Notification,
    ProtocolError,
    Response,
    decode_incoming,
    encode_request,
)
from tunnelkeeper.control.payloads import (
    Affected,
    Changes,
    Event,
    LogLines,
    Version,
)
from tunnelkeeper.core.snapshot import LogRecord, StatusSnapshot

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path
    from types import TracebackType

ANSWER_LIMIT = 64 * 1024 * 1024
"""Bytes of one line; a supervisor of ten thousand tunnels stays far below."""

_READ_SIZE = 64 * 1024
_EVENTS: msgspec.json.Decoder[Event] = msgspec.json.Decoder(Event)

T = TypeVar("T")


class NoSupervisorError(Exception):
    """Nobody answers on the control socket, or the supervisor ended while we were talking."""

    def __init__(self, path: Path) -> None:
        super().__init__(f"no supervisor is running at {path}; start one with `tunnelkeeper up`")


class RemoteError(Exception):
    """The supervisor declined. problems: the lines of a config file's problems, if it has any."""

    def __init__(self, code: int, message: str, problems: list[str]) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.problems = problems


class Client:
    """A connection to the supervisor; a context manager. Calls are made one after the other.

    timeout: seconds for an answer, unless a call says otherwise.
    Every call raises NoSupervisor, RemoteError, TimeoutError, ProtocolError; making a client
    raises NoSupervisor, or OSError when the socket is there and may not be used.
    """

    def __init__(self, path: Path, timeout: float = 10.0) -> None:
        self._path = path
        self._timeout = timeout
        self._ids = itertools.count(1)
        self._received = bytearray()
        self._events: deque[Event] = deque()
        self._sock = _connected(path, timeout)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """End the connection; the supervisor goes on."""
        self._sock.close()

    def call(self, method: str, timeout: float | None = None, **params: object) -> msgspec.Raw:
        """Ask, and the result as JSON; parameters of None are left out."""
        deadline = time.monotonic() + (self._timeout if timeout is None else timeout)
        request_id = next(self._ids)
        self._send(encode_request(method, params, request_id), deadline)
        while True:
            match decode_incoming(self._line(deadline)):
                case Notification() as notification:
                    self._note(notification)
                case Response(id=answered, result=result) if answered == request_id:
                    return result
                case ErrorResponse(id=answered, error=error) if answered in {request_id, None}:
                    problems = error.data.problems if error.data else []
                    raise RemoteError(error.code, error.message, problems)
                case _:
                    pass  # the late answer to a call that timed out

    def follow(self, method: str, timeout: float | None = None, **params: object) -> msgspec.Raw:
        """Subscribe, then call: events() gives what happened after this answer, nothing before."""
        self.call("subscribe", timeout)
        result = self.call(method, timeout, **params)
        self._events.clear()
        return result

    def events(self, deadline: float | None = None) -> Iterator[Event]:
        """What happens, as it happens, to one who follows; ends never.

        Raises TimeoutError at the deadline (of time.monotonic()), NoSupervisor when it ended.
        """
        while True:
            while self._events:
                yield self._events.popleft()
            match decode_incoming(self._line(deadline)):
                case Notification() as notification:
                    self._note(notification)
                case _:
                    pass  # the late answer to a call that timed out

    def version(self) -> Version:
        """The supervisor's version and process id."""
        return _decoded(self.call("version"), Version)

    def status(self, names: list[str] | None = None) -> StatusSnapshot:
        """What the tunnels do; None: all of them."""
        return _decoded(self.call("status", names=names), StatusSnapshot)

    def start(self, names: list[str], group: str | None = None) -> list[str]:
        """Want tunnels up; returns the names meant."""
        return _decoded(self.call("start", names=names, group=group), Affected).names

    def stop(self, names: list[str], group: str | None = None) -> list[str]:
        """Want tunnels down; returns the names meant, once they are."""
        return _decoded(self.call("stop", names=names, group=group), Affected).names

    def restart(
        self, names: list[str], group: str | None = None, *, graceful: bool = False
    ) -> list[str]:
        """Close tunnels and connect again, gracefully or not; returns the names meant."""
        # Left out where it is not asked for: a supervisor of an older version does not know it.
        said = self.call("restart", names=names, group=group, graceful=graceful or None)
        return _decoded(said, Affected).names

    def reload(self) -> list[str]:
        """Have the config file read again; returns a sentence for each change."""
        return _decoded(self.call("reload"), Changes).changes

    def logs(self, name: str | None, lines: int) -> list[LogRecord]:
        """The newest lines, newest last."""
        return _decoded(self.call("logs", name=name, lines=lines), LogLines).records

    def shutdown(self) -> None:
        """Ask the supervisor to end; returns when it has understood."""
        self.call("shutdown")

    def connect(self, name: str, target: str, timeout: float) -> tuple[socket.socket, bytes]:
        """Become a stream to a target: the socket, blocking, and what was received already.

        The client is of no other use afterwards; the socket is the caller's to close.
        """
        self.call("connect", timeout, name=name, target=target)
        self._sock.settimeout(None)
        return self._sock, bytes(self._received)

    def _note(self, notification: Notification) -> None:
        if notification.method != "event":
            return
        try:
            self._events.append(_EVENTS.decode(notification.params))
        except msgspec.ValidationError:
            return  # a kind of event that a newer supervisor added

    def _send(self, line: bytes, deadline: float) -> None:
        try:
            self._sock.settimeout(_remaining(deadline))
            self._sock.sendall(line)
        except ConnectionError:
            raise NoSupervisorError(self._path) from None

    def _line(self, deadline: float | None) -> bytes:
        searched = 0
        while (end := self._received.find(b"\n", searched)) < 0:
            searched = len(self._received)
            if searched > ANSWER_LIMIT:
                raise ProtocolError(ErrorCode.INVALID_REQUEST, f"{self._path}: an endless answer")
            self._sock.settimeout(_remaining(deadline))
            try:
                data = self._sock.recv(_READ_SIZE)
            except ConnectionError:
                data = b""
            if not data:
                raise NoSupervisorError(self._path)
            self._received += data
        line = bytes(self._received[:end])
        del self._received[: end + 1]
        return line


def _connected(path: Path, timeout: float) -> socket.socket:
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        sock.settimeout(timeout)
        sock.connect(str(path))
    except (FileNotFoundError, NotADirectoryError, ConnectionRefusedError):
        sock.close()
        raise NoSupervisorError(path) from None
    except TimeoutError:
        sock.close()
        raise TimeoutError(f"the supervisor at {path} does not answer") from None
    except PermissionError as error:
        sock.close()
        words = "permission denied; only the user that it runs as may talk to a supervisor"
        raise PermissionError(error.errno, words, str(path)) from error
    except OSError as error:
        sock.close()
        # A path that is too long comes without a number, and none comes with the path.
        number = error.errno or errno.ENAMETOOLONG
        raise OSError(number, error.strerror or str(error), str(path)) from error
    return sock


def _remaining(deadline: float | None) -> float | None:
    """Seconds until the deadline.

    Raises TimeoutError when it has passed.
    """
    if deadline is None:
        return None
    left = deadline - time.monotonic()
    if left <= 0:
        raise TimeoutError("the supervisor did not answer in time")
    return left


def _decoded(result: msgspec.Raw, kind: type[T]) -> T:
    try:
        return msgspec.json.decode(result, type=kind)
    except msgspec.ValidationError as error:
        raise ProtocolError(
            ErrorCode.INVALID_REQUEST, f"an answer of another version: {error}"
        ) from error
