"""The methods of the control protocol that are a question and an answer; it sends nothing.

A table of methods says what a server can be asked; METHODS is the supervisor's. Its `subscribe` and
`connect` change what a connection is for, so they are the conversation's.
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
    LogLines,
    LogsParams,
    NoParams,
    RestartParams,
    Selection,
    StatusParams,
    Version,
)
from tunnelkeeper.core.text import printable

if TYPE_CHECKING:
    from tunnelkeeper.core.snapshot import StatusSnapshot

_log = logging.getLogger(__name__)

S = TypeVar("S")
P = TypeVar("P", bound=msgspec.Struct)


async def version(_subject: object, _params: NoParams) -> Version:
    """The program's version and process id, whatever it is that runs."""
    return Version(__version__, os.getpid())


async def _status(supervisor: SupervisorApi, params: StatusParams) -> StatusSnapshot:
    return supervisor.status(params.names)


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


async def _shutdown(supervisor: SupervisorApi, _params: NoParams) -> Done:
    supervisor.shutdown()
    return Done()


@dataclass(frozen=True, slots=True)
class Method(Generic[S, P]):
    """What a method takes, and the function that answers it. S: what is asked."""

    params: type[P]
    answer: Callable[[S, P], Awaitable[msgspec.Struct]]

    async def __call__(self, subject: S, request: Request) -> msgspec.Struct:
        """Read the parameters and answer; raises ProtocolError, and what the subject raises."""
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
    "shutdown": Method(NoParams, _shutdown),
}


async def answer(subject: object, request: Request, methods: Methods) -> bytes | None:
    """Do what a request asks; returns the line that answers it, None for a notification.

    Raises nothing but CancelledError: whatever goes wrong is in the answer.
    """
    request_id = id_of(request)
    try:
        method = methods.get(request.method)
        if method is None:
            raise ProtocolError(ErrorCode.METHOD_NOT_FOUND, f"no method {request.method!r}")
        line = encode_result(request_id, await method(subject, request))
    except Exception as error:  # noqa: BLE001  one bad request must not end the server
        line = encode_error(request_id, described(error))
    return None if request.id is UNSET else line


def id_of(request: Request) -> Id:
    """The id to answer with."""
    return None if request.id is UNSET else request.id


def described(error: Exception) -> Error:
    """What an exception means to the client; one that nobody foresaw is logged."""
    match error:
        case ProtocolError():
            return Error(error.code, error.message)
        case RequestError():
            data = ErrorData(list(error.problems)) if error.problems else None
            return Error(error.code, str(error), data)
        case TimeoutError():
            return Error(ErrorCode.TIMED_OUT, str(error) or "timed out")
    _log.error("a control request failed", exc_info=error)
    message = printable(str(error))  # JSON could not hold the lone surrogate of an odd path
    return Error(ErrorCode.INTERNAL_ERROR, f"internal error: {type(error).__name__}: {message}")
