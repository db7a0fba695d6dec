"""One client's control connection, from its first request to its end. It accepts no clients."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING, cast

from msgspec import UNSET, Raw, json

from tunnelkeeper.control.jsonrpc import (
    REQUEST_LIMIT,
    Error,
    ErrorCode,
    Notification,
    ProtocolError,
    Request,
    decode_params,
    decode_request,
    encode,
    encode_error,
    encode_result,
)
from tunnelkeeper.control.methods import METHODS, Methods, answer, described, id_of
from tunnelkeeper.control.payloads import (
    Answered,
    AnswerParams,
    AttendParams,
    Claimed,
    Connected,
    ConnectParams,
    Done,
    Event,
    Opened,
    OpenParams,
    QuestionParams,
    SubscribeParams,
    Unlocking,
    UnlockParams,
)
from tunnelkeeper.core.secret import Secret, wipe
from tunnelkeeper.net.out_of_memory import end_if_out_of_memory

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable

    from tunnelkeeper.control.api import SupervisorApi, Unsubscribe

BACKLOG_LIMIT = 1024 * 1024
"""Bytes of events that may wait for a client before it is disconnected as too slow."""

WRITE_TIMEOUT = 30.0
"""Seconds that a client may take to read an answer."""

_NO_SUBSCRIPTION = "too many clients follow the supervisor's events"
_NO_TUNNEL = "too many clients are connected"
_TOO_MANY_HINT = "end a dashboard or another client"
_TOO_LONG = Error(ErrorCode.INVALID_REQUEST, f"expected a request of at most {REQUEST_LIMIT} bytes")


class ControlConnection:
    """Answers requests one at a time from a table of methods. subject: what the methods act on.

    The next request is read when the client has the last answer, so at most one answer waits for
    a client.
    """

    def __init__(
        self,
        subject: object,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        methods: Methods,
    ) -> None:
        self._subject = subject
        self._reader = reader
        self._writer = writer
        self._methods = methods
        self._answer_bytes = 0
        self._in_request = False
        self.is_stream = False
        """Whether the connection has become a stream to a target (`connect`)."""
        self.in_reserve = False
        """Whether the connection may make single requests only, as all others are in use."""
        self.is_last_request = False
        """Whether the connection ends after the current request."""
        self.idle_since = asyncio.get_running_loop().time()
        """When the last request was answered, or the client connected. A time of the loop."""
        # drain() then returns only when the kernel has everything.
        writer.transport.set_write_buffer_limits(high=0)

    @property
    def is_idle(self) -> bool:
        """Whether the connection can be closed for another one: the client waits for nothing."""
        return not self._in_request and not self.is_stream

    def send_error(self, error: Error) -> None:
        """Send an error that answers no request."""
        self._writer.write(encode_error(None, error))

    async def run(self) -> None:
        """Serve requests until the client leaves, is too slow, or sends a line that is too long.

        Raises OSError (including TimeoutError) when the connection breaks.
        """
        try:
            while not (self.is_stream or self.is_last_request):
                line = await self._reader.readuntil(b"\n")
                await self._serve(line)
        except asyncio.IncompleteReadError:
            return
        except asyncio.LimitOverrunError:
            await self._send(encode_error(None, _TOO_LONG))

    async def _serve(self, line: bytes) -> None:
        self._in_request = True
        try:
            request = decode_request(line)
            reply = await self._reply(request)
        except ProtocolError as error:
            reply = encode_error(error.id, described(error))
        finally:
            # A client that does not read its answer counts as idle, too.
            self._in_request = False
            self.idle_since = asyncio.get_running_loop().time()
        if reply is not None:
            await self._send(reply)

    async def _reply(self, request: Request) -> bytes | None:
        """Return the line that answers a request, or None for a notification."""
        return await answer(self._subject, request, self._methods)

    async def _send(self, reply: bytes) -> None:
        self._answer_bytes = len(reply)
        self._writer.write(reply)
        async with asyncio.timeout(WRITE_TIMEOUT):
            await self._writer.drain()


class SupervisorConnection(ControlConnection):
    """A connection to a supervisor: its methods, events after `subscribe`, streams to targets.

    Events are sent between answers. At most BACKLOG_LIMIT bytes of them wait for a client.
    """

    def __init__(
        self, supervisor: SupervisorApi, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        own = {
            "subscribe": self._subscribe,
            "attend": self._attend,
            "claim": self._claim,
            "answer": self._answer,
            "decline": self._decline,
            "unlock": self._unlock,
            "open": self._open,
        }
        super().__init__(supervisor, reader, writer, {**METHODS, **own})
        self._supervisor = supervisor
        self._is_asked = False
        self._unsubscribe: Unsubscribe | None = None
        self._end_bound_tunnels: list[Callable[[], None]] = []

    @property
    def is_idle(self) -> bool:
        """Whether the connection can be closed for another one.

        Its client awaits no answer and no event, and no tunnel would end with it.
        """
        is_used = self._unsubscribe is not None or self._is_asked or bool(self._end_bound_tunnels)
        return super().is_idle and not is_used

    async def run(self) -> None:
        """Serve requests; send no event afterwards."""
        try:
            await super().run()
        finally:
            if self._unsubscribe is not None:
                self._unsubscribe()
            if self._is_asked:
                self._supervisor.questions.disconnect(self)
            for end in self._end_bound_tunnels:
                end()

    async def _reply(self, request: Request) -> bytes | None:
        if request.method != "connect":
            return await super()._reply(request)
        await self._serve_stream(request, decode_params(request, ConnectParams))
        return None

    async def _subscribe(self, supervisor: SupervisorApi, request: Request) -> Done:
        params = decode_params(request, SubscribeParams)
        if self.in_reserve:
            code = ErrorCode.TOO_MANY_CONNECTIONS
            raise ProtocolError(code, _NO_SUBSCRIPTION, id_of(request), _TOO_MANY_HINT)
        if self._unsubscribe is None:
            self._unsubscribe = supervisor.subscribe(self._send_event, params.counters_every)
        return Done()

    async def _open(self, supervisor: SupervisorApi, request: Request) -> Opened:
        params = decode_params(request, OpenParams)
        if self.in_reserve and params.bound_to_connection:
            code = ErrorCode.TOO_MANY_CONNECTIONS
            raise ProtocolError(code, _NO_TUNNEL, id_of(request), _TOO_MANY_HINT)
        opened, end = await supervisor.open(params)
        if params.bound_to_connection:
            self._end_bound_tunnels.append(end)
        return opened

    async def _attend(self, supervisor: SupervisorApi, request: Request) -> Done:
        params = decode_params(request, AttendParams)
        self._is_asked = True
        supervisor.questions.attend(self, params.names)
        return Done()

    async def _claim(self, supervisor: SupervisorApi, request: Request) -> Claimed:
        params = decode_params(request, QuestionParams)
        self._is_asked = True
        claim = supervisor.questions.claim(self, params.id)
        return Claimed(supervisor.question_snapshot(claim.question), claim.nonce)

    async def _decline(self, supervisor: SupervisorApi, request: Request) -> Done:
        params = decode_params(request, QuestionParams)
        supervisor.questions.decline(self, params.id)
        return Done()

    async def _unlock(self, supervisor: SupervisorApi, request: Request) -> Unlocking:
        params = decode_params(request, UnlockParams)
        if params.key is not None and params.names:
            raise ProtocolError(ErrorCode.INVALID_PARAMS, "unlock: expected key or names, not both")
        unlocking = await supervisor.unlock(params.key, params.names, params.for_seconds)
        for question_id in unlocking.questions:
            self._is_asked = True
            supervisor.questions.keep(self, question_id)
        return unlocking

    async def _answer(self, supervisor: SupervisorApi, request: Request) -> Answered:
        """Read the answers that follow the line, and pass them on. No JSON holds a secret."""
        try:
            params = decode_params(request, AnswerParams)
        except ProtocolError:
            # Where the answers end is unknown, and they must not be read as requests.
            self.is_last_request = True
            raise
        answers: list[Secret] = []
        try:
            for size in params.lengths:
                answers.append(Secret(await self._reader.readexactly(size)))  # noqa: PERF401
        except BaseException:  # the client has left within its answers
            wipe(answers)
            raise
        verdict = await supervisor.questions.answer(self, params.id, params.nonce, answers)
        return Answered(verdict.accepted, verdict.problem)

    def _send_event(self, event: Event) -> None:
        """Send an event, or disconnect a client that does not read."""
        transport = self._writer.transport
        if transport.is_closing():
            return
        if transport.get_write_buffer_size() > BACKLOG_LIMIT + self._answer_bytes:
            transport.abort()
            return
        self._writer.write(encode(Notification("event", Raw(json.encode(event)))))

    async def _serve_stream(self, request: Request, params: ConnectParams) -> None:
        if request.id is UNSET:
            raise ProtocolError(ErrorCode.INVALID_REQUEST, "connect: expected an id")
        sock, early = await self._detach()
        self.is_stream = True
        unanswered = True

        def confirm() -> None:
            nonlocal unanswered
            unanswered = False
            sock.send(encode_result(id_of(request), Connected()))

        with sock:
            try:
                await self._supervisor.connect(params.name, params.target, sock, early, confirm)
            except Exception as error:  # noqa: BLE001  one bad request must not end the server
                end_if_out_of_memory()
                reply = encode_error(id_of(request), described(error))
                with suppress(OSError):  # the client may be gone, or sock closed already
                    if unanswered:
                        sock.send(reply)

    async def _detach(self) -> tuple[socket.socket, bytes]:
        """Take the socket from the event loop's transport, with the bytes read after the request.

        Nothing is lost: reading stops before the rest is taken, and _send() has waited until the
        client had everything that was written.
        """
        transport = cast("asyncio.Transport", self._writer.transport)  # a socket's is both ways
        transport.pause_reading()
        self._reader.feed_eof()
        early = await self._reader.read()
        sock: socket.socket = transport.get_extra_info("socket").dup()
        transport.abort()
        return sock, early
