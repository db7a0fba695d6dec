"""The interface between the control server and a supervisor, and the errors of its methods."""

from __future__ import annotations

from collections.abc import Callable
from difflib import get_close_matches
from typing import TYPE_CHECKING, ClassVar, Protocol

from tunnelkeeper.control.jsonrpc import ErrorCode
from tunnelkeeper.core.text import printable

if TYPE_CHECKING:
    import socket
    from collections.abc import Hashable, Iterable, Sequence

    from tunnelkeeper.control.payloads import Event, Locked, Opened, OpenParams, Unlocking
    from tunnelkeeper.core.message import Message
    from tunnelkeeper.core.questions import Claim, Question, Verdict
    from tunnelkeeper.core.secret import Secret
    from tunnelkeeper.core.snapshot import LogRecord, QuestionSnapshot, StatusSnapshot

Listener = Callable[["Event"], None]
Unsubscribe = Callable[[], None]


class RequestError(Exception):
    """A valid request that cannot be granted. The text is for the person who made it.

    hint: what that person can do about it, or empty. problems: those of the config file.
    """

    code: ClassVar[ErrorCode] = ErrorCode.FAILED
    problems: tuple[Message, ...] = ()

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint


class RequestFailedError(RequestError):
    """Raised when a valid request fails, for example because the target is unreachable."""


class NoSuchTunnelError(RequestError):
    """No tunnel has this name. known: the names of all tunnels, for a suggestion."""

    code = ErrorCode.NOT_FOUND

    def __init__(self, name: str, known: Iterable[str] = ()) -> None:
        near = get_close_matches(name, list(known), n=1)
        hint = f"did you mean {near[0]!r}?" if near else "tunnelkeeper status"
        super().__init__(f"no tunnel is named {name!r}", hint)


class NoSuchGroupError(RequestError):
    """No tunnel is in this group."""

    code = ErrorCode.NOT_FOUND

    def __init__(self, group: str) -> None:
        super().__init__(
            f"no tunnel is in a group {group!r}",
            "`groups` in the tables of the config file names the groups",
        )


class NoSuchKeyError(RequestError):
    """There is no such key file."""

    code = ErrorCode.NOT_FOUND

    def __init__(self, path: str) -> None:
        super().__init__(f"no such file: {printable(path)}")


class ConfigRejectedError(RequestError):
    """The config file has problems. Nothing has changed."""

    code = ErrorCode.BAD_CONFIG

    def __init__(self, problems: Iterable[Message], hint: str = "") -> None:
        super().__init__("the config file has problems; nothing was changed", hint)
        self.problems = tuple(problems)


class TunnelRefusedError(RequestError):
    """A tunnel that cannot be opened. Nothing has changed."""

    code = ErrorCode.BAD_CONFIG

    def __init__(self, problems: Iterable[Message]) -> None:
        super().__init__("the tunnel was not opened")
        self.problems = tuple(problems)


class QuestionsApi(Protocol):
    """The questions that only a person can answer. client: one client, whatever identifies it.

    The methods raise core.questions.QuestionError.
    """

    def attend(self, client: Hashable, tunnels: Iterable[str] | None) -> None:
        """Let a person at this client answer the questions of these tunnels; None: of all."""
        ...

    def keep(self, client: Hashable, question_id: str) -> None:
        """Keep a question open until this client has gone, even if no tunnel waits for it."""
        ...

    def claim(self, client: Hashable, question_id: str) -> Claim:
        """Let a client answer a question. If no login waits for the answer, one begins."""
        ...

    async def answer(
        self, client: Hashable, question_id: str, nonce: str, answers: Sequence[Secret]
    ) -> Verdict:
        """Answer a question. The answers are wiped when they have been used."""
        ...

    def decline(self, client: Hashable, question_id: str) -> None:
        """Withdraw a client's claim; its person does not answer."""
        ...

    def disconnect(self, client: Hashable) -> None:
        """Forget a client that has gone."""
        ...


class SupervisorApi(Protocol):
    """The methods that the control server calls, always in the event loop's thread.

    Each may raise RequestError. An unknown name raises NoSuchTunnelError and changes nothing.
    """

    @property
    def questions(self) -> QuestionsApi:
        """The questions that its tunnels ask."""
        ...

    def question_snapshots(self) -> list[QuestionSnapshot]:
        """Return the open questions, oldest first."""
        ...

    def question_snapshot(self, question: Question) -> QuestionSnapshot:
        """Return a question as clients see it."""
        ...

    async def unlock(self, key: str | None, names: list[str], seconds: float | None) -> Unlocking:
        """Ask for the passphrase of a key file, or for those of the keys of tunnels.

        No connection is opened. seconds: for how long the keys stay in memory; None: no limit.
        """
        ...

    def lock(self) -> Locked:
        """Forget all decrypted keys and all passwords. Live connections stay."""
        ...

    async def status(self, names: list[str] | None) -> StatusSnapshot:
        """Return these tunnels, in this order. None: all, in the order of the config file."""
        ...

    async def start(self, names: list[str], group: str | None) -> list[str]:
        """Start these tunnels without waiting. Neither names nor group: every autostart tunnel.

        Returns the names of the tunnels, also of those that had been started before.
        """
        ...

    async def stop(self, names: list[str], group: str | None) -> list[str]:
        """Stop these tunnels. Return when they hold no connection and no listener.

        An ad-hoc tunnel ends: it is gone afterwards.
        """
        ...

    async def restart(
        self, names: list[str], group: str | None, *, graceful: bool = False
    ) -> list[str]:
        """Close these tunnels and reconnect at once, without waiting.

        graceful: connect first, and close the old connection when its transfers are done.
        """
        ...

    async def open(self, params: OpenParams) -> tuple[Opened, Callable[[], None]]:
        """Open a tunnel that is in no config file, without waiting until it is up.

        The second result ends the tunnel; it may be called at any time. bound_to_connection is for
        the caller, who ends the tunnel when the connection ends. Raises TunnelRefusedError.
        """
        ...

    def table(self, name: str) -> dict[str, object]:
        """Return the table of an ad-hoc tunnel. Raises NoSuchTunnelError for all others."""
        ...

    async def reload(self) -> list[str]:
        """Read the config file again. Return a sentence for each change.

        Raises ConfigRejectedError; then nothing has changed.
        """
        ...

    def logs(self, name: str | None, lines: int) -> list[LogRecord]:
        """Return the newest log lines of a tunnel, or of all and the supervisor; newest last."""
        ...

    def shutdown(self) -> None:
        """Begin to shut down. Return at once, so that the answer can still be sent."""
        ...

    def subscribe(self, listener: Listener, counters_every: float | None) -> Unsubscribe:
        """Call the listener with every event, in the loop's thread. It does not raise.

        counters_every: seconds from one CountersEvent to the next; None for none.
        """
        ...

    async def connect(
        self, name: str, target: str, sock: socket.socket, early: bytes, confirm: Callable[[], None]
    ) -> None:
        """Relay a client's stream to a target through a tunnel. Return when it has ended.

        Half-close is passed on in both directions. Before confirm() is called, a RequestError or
        TimeoutError becomes the client's answer.

        Args:
            sock: Connected and non-blocking. This method owns it; the server closes it afterwards.
            early: Bytes that the client sent before `confirm`. They go to the target first.
            confirm: Answers the client. Called once, when the target is connected and before
                anything is written to sock. Raises OSError if the client is gone.
        """
        ...
