"""The methods of the control protocol that take a request and return an answer. It sends nothing.

METHODS is the supervisor's table. `subscribe` and `connect` change the connection itself, `open`
may bind a tunnel to it, and those who answer questions are clients, so control.client_connection
implements these methods.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, TypeVar

import msgspec
from msgspec import UNSET

from tunnelkeeper import __version__
from tunnelkeeper.control.api import RequestError, SupervisorApi
from tunnelkeeper.control.jsonrpc import (
    Error,
    ErrorCode,
    ErrorData,
    Id,
    ProtocolError,
    Request,
    decode_params,
    encode_error,
    encode_result,
)
from tunnelkeeper.control.payloads import (
    Affected,
    Changes,
    Done,
    Locked,
    LogLines,
    LogsParams,
    NoParams,
    Questions,
    RestartParams,
    Selection,
    StatusParams,
    Table,
    TableParams,
    Version,
)
from tunnelkeeper.core.questions import NoSuchQuestionError, QuestionError
from tunnelkeeper.core.text import RECORD_LIMIT, printable
from tunnelkeeper.net.out_of_memory import end_if_out_of_memory

if TYPE_CHECKING:
    from tunnelkeeper.core.snapshot import StatusSnapshot

_log = logging.getLogger(__name__)

S = TypeVar("S")
P = TypeVar("P", bound=msgspec.Struct)


async def version(_subject: object, _params: NoParams) -> Version:
    """Return the version and process id of the program, supervisor or relay."""
    return Version(__version__, os.getpid())


async def _status(supervisor: SupervisorApi, params: StatusParams) -> StatusSnapshot:
    return await supervisor.status(params.names)


async def _start(supervisor: SupervisorApi, params: Selection) -> Affected:
    return Affected(await supervisor.start(params.names, params.group))


async def _stop(supervisor: SupervisorApi, params: Selection) -> Affected:
    return Affected(await supervisor.stop(params.names, params.group))


async def _restart(supervisor: SupervisorApi, params: RestartParams) -> Affected:
    restarted = await supervisor.restart(params.names, params.group, graceful=params.graceful)
    return Affected(restarted)


async def _reload(supervisor: SupervisorApi, _params: NoParams) -> Changes:
    return Changes(await supervisor.reload())


async def _logs(supervisor: SupervisorApi, params: LogsParams) -> LogLines:
    return LogLines(supervisor.logs(params.name, params.lines))


async def _table(supervisor: SupervisorApi, params: TableParams) -> Table:
    return Table(supervisor.table(params.name))


async def _questions(supervisor: SupervisorApi, _params: NoParams) -> Questions:
    return Questions(supervisor.question_snapshots())


async def _lock(supervisor: SupervisorApi, _params: NoParams) -> Locked:
    return supervisor.lock()


async def _shutdown(supervisor: SupervisorApi, _params: NoParams) -> Done:
    supervisor.shutdown()
    return Done()


@dataclass(frozen=True, slots=True)
class Method(Generic[S, P]):
    """The parameters of a method, and the function that answers it. S: the type it acts on."""

    params: type[P]
    answer: Callable[[S, P], Awaitable[msgspec.Struct]]

    async def __call__(self, subject: S, request: Request) -> msgspec.Struct:
        """Parse the parameters and answer. Raises ProtocolError, and what the subject raises."""
        return await self.answer(subject, decode_params(request, self.params))


Methods = Mapping[str, Callable[[Any, Request], Awaitable[msgspec.Struct]]]

METHODS: Methods = {
    "version": Method(NoParams, version),
    "status": Method(StatusParams, _status),
    "start": Method(Selection, _start),
    "stop": Method(Selection, _stop),
    "restart": Method(RestartParams, _restart),
    "reload": Method(NoParams, _reload),
    "logs": Method(LogsParams, _logs),
    "table": Method(TableParams, _table),
    "questions": Method(NoParams, _questions),
    "lock": Method(NoParams, _lock),
    "shutdown": Method(NoParams, _shutdown),
}


async def answer(subject: object, request: Request, methods: Methods) -> bytes | None:
    """Carry a request out. Return the line that answers it, or None for a notification.

    Every error but CancelledError becomes the answer.
    """
    request_id = id_of(request)
    try:
        method = methods.get(request.method)
        if method is None:
            raise ProtocolError(ErrorCode.METHOD_NOT_FOUND, f"no method {request.method!r}")
        line = encode_result(request_id, await method(subject, request))
    except Exception as error:  # noqa: BLE001  one bad request must not end the server
        end_if_out_of_memory()
        line = encode_error(request_id, described(error))
    return None if request.id is UNSET else line


def id_of(request: Request) -> Id:
    """Return the id to answer with."""
    return None if request.id is UNSET else request.id


def described(error: Exception) -> Error:
    """Return an exception as the error for the client. An unexpected one is logged."""
    match error:
        case ProtocolError():
            data = ErrorData(hint=printable(error.hint, RECORD_LIMIT)) if error.hint else None
            return Error(error.code, error.message, data)
        case RequestError(problems=problems, hint=hint):
            data = ErrorData(
                [each.text for each in problems],
                printable(hint, RECORD_LIMIT),
                [each.hint for each in problems],
            )
            return Error(error.code, str(error), data if problems or hint else None)
        case NoSuchQuestionError():
            return Error(ErrorCode.NOT_FOUND, str(error))
        case QuestionError():
            return Error(ErrorCode.FAILED, str(error))
        case TimeoutError():
            return Error(ErrorCode.TIMED_OUT, str(error) or "timed out")
    _log.error("a control request failed", exc_info=error)
    message = printable(str(error))  # JSON cannot hold the lone surrogates of an undecodable path
    return Error(ErrorCode.INTERNAL_ERROR, f"internal error: {type(error).__name__}: {message}")
