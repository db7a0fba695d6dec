"""The blocking client of the control socket, for front ends that must start fast.

It imports neither asyncio nor SSH. control.async_client is its counterpart.
"""

from __future__ import annotations

import errno
import itertools
import select
import socket
import time
from collections import deque
from math import inf
from typing import TYPE_CHECKING, Self, TypeVar

import msgspec

from tunnelkeeper.control.client_errors import (
    ForeignSocketError,
    NoSupervisorError,
    NotPermittedError,
    RemoteError,
    UntrustedSocketError,
)
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
    Opened,
    Table,
    Version,
)
from tunnelkeeper.control.peer import (
    expected_user,
    find_untrusted_path,
    find_untrusted_process,
)
from tunnelkeeper.control.unix_socket import path_problem
from tunnelkeeper.core.snapshot import LogRecord, StatusSnapshot

if TYPE_CHECKING:
    from asyncio.trsock import TransportSocket
    from collections.abc import Iterator, Sequence
    from pathlib import Path
    from types import TracebackType

    from tunnelkeeper.core.secret import Secret

ANSWER_LIMIT = 64 * 1024 * 1024
"""Bytes of one line. The status of ten thousand tunnels is far below."""

_READ_SIZE = 64 * 1024
_EVENTS: msgspec.json.Decoder[Event] = msgspec.json.Decoder(Event)

T = TypeVar("T")


class Client:
    """A connection to the supervisor, and a context manager. It makes one call at a time.

    timeout: seconds for an answer, unless a call has its own. is_named: the path was named for
    this call, so that root may use the supervisor of another user.
    Every call raises NoSupervisorError, RemoteError, TimeoutError or ProtocolError. The constructor
    raises NoSupervisorError, ForeignSocketError, or OSError if the socket may not be used.
    UntrustedSocketError means that another user may listen; nothing was sent to that process.
    """

    def __init__(self, path: Path, timeout: float = 10.0, *, is_named: bool = False) -> None:
        self.path = path
        self._timeout = timeout
        self._ids = itertools.count(1)
        self._received = bytearray()
        self._events: deque[Event] = deque()
        self._sock = _connect(path, timeout, is_named)

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
        """Close the connection. The supervisor keeps running."""
        self._sock.close()

    def call(self, method: str, timeout: float | None = None, **params: object) -> msgspec.Raw:
        """Call a method and return its result as JSON. Parameters that are None are left out."""
        return self.call_with_secrets(method, params, (), timeout)

    def call_with_secrets(
        self,
        method: str,
        params: dict[str, object],
        secrets: Sequence[Secret],
        timeout: float | None = None,
    ) -> msgspec.Raw:
        """Call a method; the bytes of the secrets follow the request's line."""
        deadline = time.monotonic() + (self._timeout if timeout is None else timeout)
        request_id = next(self._ids)
        self._send(encode_request(method, params, request_id), deadline)
        for secret in secrets:
            self._send(secret.reveal(), deadline)
        while True:
            match decode_line(self._read_line(deadline), self.path):
                case Notification() as notification:
                    self._keep_event(notification)
                case Response(id=answered, result=result) if answered == request_id:
                    return result
                case ErrorResponse(id=answered, error=error) if answered in {request_id, None}:
                    raise RemoteError.from_error(error)
                case _:
                    pass  # the late answer to a call that timed out

    def follow(self, method: str, timeout: float | None = None, **params: object) -> msgspec.Raw:
        """Subscribe, then call. events() yields only what happens after this answer."""
        self.call("subscribe", timeout)
        result = self.call(method, timeout, **params)
        self._events.clear()
        return result

    def events(self, deadline: float | None = None) -> Iterator[Event]:
        """Yield events as they happen, without end. Needs a follow() before.

        Raises TimeoutError at the deadline (of time.monotonic()), NoSupervisorError when the
        supervisor ends.
        """
        while True:
            while self._events:
                yield self._events.popleft()
            match decode_line(self._read_line(deadline), self.path):
                case Notification() as notification:
                    self._keep_event(notification)
                case _:
                    pass  # the late answer to a call that timed out

    def fileno(self) -> int:
        """Return the socket's descriptor, to wait for events and something else."""
        return self._sock.fileno()

    def peek_events(self) -> tuple[Event, ...]:
        """Return the events that have arrived and that events() yields next, without waiting.

        Raises NoSupervisorError when the supervisor has ended.
        """
        while b"\n" in self._received or select.select([self._sock], [], [], 0)[0]:
            line = decode_line(self._read_line(None), self.path)
            if isinstance(line, Notification):
                self._keep_event(line)
        return tuple(self._events)

    def version(self) -> Version:
        """Return the supervisor's version and process id."""
        return decode_result(self.call("version"), Version)

    def status(self, names: list[str] | None = None) -> StatusSnapshot:
        """Return the status of these tunnels. None: of all."""
        return decode_result(self.call("status", names=names), StatusSnapshot)

    def start(self, names: list[str], group: str | None = None) -> list[str]:
        """Start tunnels. Return their names."""
        return decode_result(self.call("start", names=names, group=group), Affected).names

    def stop(self, names: list[str], group: str | None = None) -> list[str]:
        """Stop tunnels. Return their names when they are down."""
        return decode_result(self.call("stop", names=names, group=group), Affected).names

    def restart(
        self, names: list[str], group: str | None = None, *, graceful: bool = False
    ) -> list[str]:
        """Close tunnels and reconnect, gracefully if asked. Return their names."""
        # Left out unless requested: a supervisor of an older version refuses the parameter.
        result = self.call("restart", names=names, group=group, graceful=graceful or None)
        return decode_result(result, Affected).names

    def open(
        self,
        table: dict[str, object],
        name: str | None = None,
        for_seconds: float | None = None,
        *,
        bound: bool = False,
    ) -> Opened:
        """Open a tunnel that is in no config file. bound: it ends with this connection."""
        result = self.call(
            "open", table=table, name=name, for_seconds=for_seconds, bound_to_connection=bound
        )
        return decode_result(result, Opened)

    def table(self, name: str) -> dict[str, object]:
        """Return the table that an ad-hoc tunnel was opened with."""
        return decode_result(self.call("table", name=name), Table).table

    def reload(self) -> list[str]:
        """Make the supervisor read its config file again. Return a sentence for each change."""
        return decode_result(self.call("reload"), Changes).changes

    def logs(self, name: str | None, lines: int) -> list[LogRecord]:
        """Return the newest log lines, newest last."""
        return decode_result(self.call("logs", name=name, lines=lines), LogLines).records

    def shutdown(self) -> None:
        """Ask the supervisor to shut down. Return when it has accepted."""
        self.call("shutdown")

    def connect(self, name: str, target: str) -> tuple[socket.socket, bytes]:
        """Turn the connection into a stream to a target.

        It waits as long as the supervisor does, which holds a client for the tunnel's hold_timeout.

        Returns:
            The socket, blocking, and the bytes received so far. The caller closes the socket; the
            client cannot be used any more.
        """
        self.call("connect", inf, name=name, target=target)
        self._sock.settimeout(None)
        return self._sock, bytes(self._received)

    def _keep_event(self, notification: Notification) -> None:
        if notification.method != "event":
            return
        event = decode_event(notification.params)
        if event is not None:
            self._events.append(event)

    def _send(self, line: bytes, deadline: float) -> None:
        try:
            self._sock.settimeout(self._remaining(deadline))
            self._sock.sendall(line)
        except ConnectionError:
            # The reason may have arrived before the supervisor closed; _read_line() finds it.
            return
        except TimeoutError:
            raise _no_answer(self.path) from None

    def _remaining(self, deadline: float | None) -> float | None:
        """Return the seconds until the deadline.

        Raises TimeoutError when it has passed.
        """
        if deadline is None or deadline == inf:
            return None
        left = deadline - time.monotonic()
        if left <= 0:
            raise _no_answer(self.path)
        return left

    def _read_line(self, deadline: float | None) -> bytes:
        searched = 0
        while (end := self._received.find(b"\n", searched)) < 0:
            searched = len(self._received)
            if searched > ANSWER_LIMIT:
                raise endless_answer(self.path)
            self._sock.settimeout(self._remaining(deadline))
            try:
                data = self._sock.recv(_READ_SIZE)
            except ConnectionError:
                data = b""
            except TimeoutError:
                raise _no_answer(self.path) from None
            if not data and self._received:
                raise ForeignSocketError(self.path, bytes(self._received))
            if not data:
                raise NoSupervisorError(self.path)
            self._received += data
        line = bytes(self._received[:end])
        del self._received[: end + 1]
        return line


def _connect(path: Path, timeout: float, is_named: bool) -> socket.socket:
    user = check_path(path, is_named=is_named)
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        sock.settimeout(timeout)
        sock.connect(str(path))
    except (FileNotFoundError, NotADirectoryError, ConnectionRefusedError):
        sock.close()
        raise NoSupervisorError(path) from None
    except (TimeoutError, BlockingIOError):  # EAGAIN: its queue of new connections is full
        sock.close()
        raise TimeoutError(f"the supervisor at {path} does not answer") from None
    except PermissionError as error:
        sock.close()
        raise _not_permitted(path, error) from error
    except OSError as error:
        sock.close()
        if error.errno == errno.EPROTOTYPE:  # a datagram socket
            raise ForeignSocketError(path) from None
        # Python does not name the path.
        raise OSError(error.errno, error.strerror, str(path)) from error
    try:
        check_process(sock, path, user)
    except BaseException:
        sock.close()
        raise
    return sock


def check_path(path: Path, *, is_named: bool) -> int:
    """Check the file of a control socket before connecting. Return the user who may listen there.

    Raises UntrustedSocketError, NoSupervisorError for a missing file, and OSError for a path that
    is too long.
    """
    if problem := path_problem(path):
        raise OSError(errno.ENAMETOOLONG, problem, str(path))
    try:
        user = expected_user(path, is_named=is_named)
        reason = find_untrusted_path(path, user)
    except (FileNotFoundError, NotADirectoryError):
        raise NoSupervisorError(path) from None
    except PermissionError as error:
        raise _not_permitted(path, error) from error
    if reason is not None:
        raise UntrustedSocketError(path, reason)
    return user


def check_process(sock: socket.socket | TransportSocket, path: Path, user: int) -> None:
    """Check who listens, after connecting and before anything is sent.

    Raises UntrustedSocketError.
    """
    reason = find_untrusted_process(sock, user)
    if reason is not None:
        raise UntrustedSocketError(path, reason)


def _not_permitted(path: Path, error: PermissionError) -> PermissionError:
    return NotPermittedError(error.errno, "permission denied", str(path))


def endless_answer(path: Path) -> ProtocolError:
    """Return the error for a line longer than ANSWER_LIMIT."""
    return ForeignSocketError(path, b"an endless line")


def decode_event(params: msgspec.Raw) -> Event | None:
    """Return an event, or None for a kind of event that a newer supervisor added."""
    try:
        return _EVENTS.decode(params)
    except msgspec.ValidationError:
        return None


def decode_line(line: bytes, path: Path) -> Response | ErrorResponse | Notification:
    """Parse a line of the supervisor at a path.

    Raises ForeignSocketError if it is no message.
    """
    try:
        return decode_incoming(line)
    except ProtocolError as error:
        raise ForeignSocketError(path, line) from error


def _no_answer(path: Path) -> TimeoutError:
    return TimeoutError(
        f"the supervisor did not answer in time, or another program listens at {path}"
    )


def decode_result(result: msgspec.Raw, kind: type[T]) -> T:
    """Return the result of a call.

    Raises ProtocolError if it is that of another version.
    """
    try:
        return msgspec.json.decode(result, type=kind)
    except msgspec.ValidationError as error:
        raise ProtocolError(
            ErrorCode.INVALID_REQUEST, f"an answer of another version: {error}"
        ) from error
