"""A server whose logins are scripted byte for byte, and a person who answers its questions."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from asyncssh.constants import (
    DISC_PROTOCOL_ERROR,
    MSG_USERAUTH_FAILURE,
    MSG_USERAUTH_REQUEST,
)
from asyncssh.packet import Boolean, NameList, SSHPacket, String, UInt32

from tests.ssh.server import Server, ServerCallbacks, serve
from tunnelkeeper.core.questions import Change, Changed, Question
from tunnelkeeper.core.secret import Secret

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from pathlib import Path

    from tunnelkeeper.ssh.context import SshContext

METHOD_MESSAGE = 60
"""PK_OK, PASSWD_CHANGEREQ and INFO_REQUEST, depending on the method."""

INFO_RESPONSE = 61

Answers = tuple[bytes, ...]
Decision = bool | tuple[str, ...] | None
"""Whether a request is accepted, or the methods that are required in addition. None: no reply."""


@dataclass(frozen=True)
class Prompted:
    """One round of keyboard-interactive, as bytes."""

    prompts: tuple[tuple[bytes, bool], ...] = ()
    name: bytes = b""
    instruction: bytes = b""


@dataclass
class Script:
    """What the server does.

    rounds: those of each exchange. decide: called at the end of each with the method and all
    answers. demand: the text with which it demands a new password, until it accepts one.
    requests: the (method, answers) that it decided about. begun: the methods that were begun.
    closes_when_asking: whether it closes the connection while it waits for an answer.
    max_refused: how many answers it refuses with a reply; it ends the next login without one.
    """

    methods: tuple[str, ...] = ("password",)
    rounds: tuple[Prompted, ...] = ()
    decide: Callable[[str, Answers], Decision] = lambda _, answers: answers == (b"right",)
    demand: bytes = b""
    requests: list[tuple[str, Answers]] = field(default_factory=list)
    begun: list[str] = field(default_factory=list)
    closes_when_asking: bool = False
    max_refused: int = 100

    @property
    def sent(self) -> list[Answers]:
        """The answers that it decided about."""
        return [answers for _, answers in self.requests]


class _Exchange:
    """Receives the answers of one exchange of keyboard-interactive."""

    def __init__(self, callbacks: _Callbacks) -> None:
        self._callbacks = callbacks
        self._left = list(callbacks.script.rounds)
        self._answers: Answers = ()

    def log_received_packet(self, *_: object) -> None:
        pass

    def cancel(self) -> None:
        pass

    def process_packet(self, kind: int, _number: int, packet: SSHPacket) -> bool:
        assert kind == INFO_RESPONSE
        count = packet.get_uint32()
        self._answers += tuple(packet.get_string() for _ in range(count))
        packet.check_end()
        self.proceed()
        return True

    def proceed(self) -> None:
        if not self._left:
            self._callbacks.decide("keyboard-interactive", self._answers)
            return
        asked = self._left.pop(0)
        prompts = [String(text) + Boolean(echo) for text, echo in asked.prompts]
        fields = (String(asked.name), String(asked.instruction), String(""), UInt32(len(prompts)))
        self._callbacks.conn.send_packet(METHOD_MESSAGE, *fields, *prompts)
        if self._callbacks.script.closes_when_asking:
            asyncio.get_running_loop().call_later(0.05, self._callbacks.conn.abort)


class _Callbacks(ServerCallbacks):
    def __init__(self, server: Server, script: Script) -> None:
        super().__init__(server)
        self.script = script
        self.conn: Any = None

    def connection_made(self, conn: Any) -> None:
        super().connection_made(conn)
        self.conn = conn
        handler = {MSG_USERAUTH_REQUEST: lambda _, *arguments: self._process(*arguments)}
        vars(conn)["_packet_handlers"] = conn._packet_handlers | handler

    def _process(self, _kind: int, _number: int, packet: SSHPacket) -> bool:
        packet.get_string()
        packet.get_string()
        method = packet.get_string().decode()
        self.script.begun.append(method)
        if method == "password":
            is_change = packet.get_boolean()
            answers = (packet.get_string(),) + ((packet.get_string(),) if is_change else ())
            if self.script.demand and self.script.decide(method, answers) is not is_change:
                if is_change:
                    self.script.requests.append((method, answers))
                self.conn.send_packet(METHOD_MESSAGE, String(self.script.demand), String(""))
                return True
            self.decide(method, answers)
        elif method == "keyboard-interactive":
            self.conn._auth = exchange = _Exchange(self)
            exchange.proceed()
        elif method == "publickey":
            self._process_key(packet)
        else:
            self._fail()
        return True

    def _process_key(self, packet: SSHPacket) -> None:
        """Accept the key of the server's user, without a look at its signature."""
        is_signed, algorithm, key = packet.get_boolean(), packet.get_string(), packet.get_string()
        if key != self._server.user_key.public_data:
            self._fail()
        elif is_signed:
            self.decide("publickey", ())
        else:
            self.conn.send_packet(METHOD_MESSAGE, String(algorithm), String(key))

    def decide(self, method: str, answers: Answers) -> None:
        """Reply to a complete request."""
        self.script.requests.append((method, answers))
        decision = self.script.decide(method, answers)
        if decision is True:
            self.conn._username = "me"
            self.conn.create_task(self.conn.send_userauth_success())
        elif decision is False and len(self.script.requests) > self.script.max_refused:
            self.conn.disconnect(DISC_PROTOCOL_ERROR, "Too many authentication failures")
        elif decision is False:
            self._fail()
        elif decision is not None:
            self.script.methods = tuple(decision)
            self._fail(partial=True)

    def _fail(self, *, partial: bool = False) -> None:
        names = NameList([name.encode() for name in self.script.methods])
        self.conn.send_packet(MSG_USERAUTH_FAILURE, names, Boolean(partial))


@asynccontextmanager
async def serve_logins(folder: Path, script: Script) -> AsyncIterator[Server]:
    """Run a server with a script."""
    servers: list[Server] = []
    async with serve(folder, server_factory=lambda: _Callbacks(servers[0], script)) as server:
        servers.append(server)
        yield server


@asynccontextmanager
async def person(
    context: SshContext, *answers: tuple[str, ...] | None, tunnel: str = "t"
) -> AsyncIterator[list[Question]]:
    """Let a person answer the questions of a tunnel, in order; None: decline. Yield the questions.

    Without further answers the person lets the questions wait.
    """
    board, left = context.questions, list(answers)
    asked: list[Question] = []
    seen: set[tuple[str, int]] = set()
    queue: asyncio.Queue[Question] = asyncio.Queue()

    def on_change(change: Change) -> None:
        question = change.question
        is_new = (question.id, question.attempt) not in seen
        if isinstance(change, Changed) and question.is_live and is_new:
            seen.add((question.id, question.attempt))
            queue.put_nowait(question)

    async def answer() -> None:
        while True:
            question = await queue.get()
            asked.append(question)
            if not left:
                continue
            texts = left.pop(0)
            claim = board.claim("person", question.id)
            if texts is None:
                board.decline("person", question.id)
                continue
            secrets = [Secret.from_text(text) for text in texts]
            await board.answer("person", question.id, claim.nonce, secrets)

    unsubscribe = board.subscribe(on_change)
    board.attend("person", {tunnel})
    async with asyncio.TaskGroup() as tasks:
        answering = tasks.create_task(answer())
        try:
            yield asked
        finally:
            answering.cancel()
            unsubscribe()
            board.disconnect("person")
