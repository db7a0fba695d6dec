"""The connection over which the dashboard claims and answers questions.

A claim belongs to the connection that made it, so it is kept from the claim until the question is
left. Requests are sent one after the other.
"""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING

import msgspec

from tunnelkeeper.control.async_client import CONTROL_ERRORS, AsyncConnection, connect
from tunnelkeeper.control.client_errors import RemoteError
from tunnelkeeper.control.jsonrpc import Response
from tunnelkeeper.control.payloads import Answered, Claimed
from tunnelkeeper.control.question_client import ANSWER_TIMEOUT
from tunnelkeeper.core.secret import wipe
from tunnelkeeper.dashboard.answering import (
    AnswerQuestion,
    ClaimQuestion,
    LeaveQuestion,
    QuestionAction,
)
from tunnelkeeper.dashboard.feed import describe_error

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from tunnelkeeper.core.secret import Secret
    from tunnelkeeper.dashboard.question_controller import QuestionController

REQUEST_TIMEOUT = 10.0
"""Seconds for a claim or a decline, which the supervisor answers at once."""


class QuestionConnection:
    """A connection that opens with a claim. is_named: as in control.client.Client."""

    def __init__(self, socket: Path, *, is_named: bool = False) -> None:
        self._socket = socket
        self._is_named = is_named
        self._turn = asyncio.Lock()
        self._stack = AsyncExitStack()
        self._connection: AsyncConnection | None = None
        self._requests = 0

    async def run(self, action: QuestionAction, questions: QuestionController) -> None:
        """Send a request about a question and report its result."""
        async with self._turn:
            try:
                await self._run(action, questions)
            except RemoteError as error:
                questions.on_refused(action, error.message)
            except CONTROL_ERRORS as error:
                await self.close()
                questions.on_lost(action, describe_error(error))

    async def close(self) -> None:
        """Close the connection. The supervisor releases the claim."""
        self._connection = None
        await self._stack.aclose()

    async def _run(self, action: QuestionAction, questions: QuestionController) -> None:
        match action:
            case ClaimQuestion(question_id):
                result = await self._call("claim", {"id": question_id})
                questions.on_claimed(action, msgspec.json.decode(result, type=Claimed))
            case AnswerQuestion(question_id, _, nonce, answers):
                params: dict[str, object] = {"id": question_id, "nonce": nonce}
                params["lengths"] = [len(answer) for answer in answers]
                try:
                    result = await self._call("answer", params, answers, ANSWER_TIMEOUT)
                finally:
                    wipe(answers)
                questions.on_answered(action, msgspec.json.decode(result, type=Answered))
            case LeaveQuestion(question_id, decline):
                try:
                    if decline and self._connection is not None:
                        await self._call("decline", {"id": question_id})
                finally:
                    await self.close()

    async def _call(
        self,
        method: str,
        params: dict[str, object],
        trailing: Sequence[Secret] = (),
        timeout: float = REQUEST_TIMEOUT,
    ) -> msgspec.Raw:
        async with asyncio.timeout(timeout):
            if self._connection is None:
                opening = connect(self._socket, is_named=self._is_named)
                self._connection = await self._stack.enter_async_context(opening)
            self._requests += 1
            self._connection.send_request(method, params, self._requests, trailing)
            while True:
                match await self._connection.receive():
                    case Response(result=result):
                        return result
