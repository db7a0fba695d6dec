"""The control protocol's envelope: JSON-RPC 2.0, one object per line, and its one wire form.

Pure: it reads no socket and does not know what any method means.
"""

from __future__ import annotations

from enum import IntEnum
from typing import TypeVar

import msgspec
from msgspec import UNSET, Raw, UnsetType

from tunnelkeeper.core.exit_codes import ExitCode

REQUEST_LIMIT = 64 * 1024
"""Bytes of one request without its newline; the longest sensible one names a thousand tunnels."""

VERSION = "2.0"

T = TypeVar("T")
Id = int | float | str | None


class ErrorCode(IntEnum):
    """What an error means. The small ones are the program's exit codes.

    The negative ones are those of JSON-RPC 2.0 section 5.1.
    """

    FAILED = ExitCode.FAILED
    BAD_CONFIG = ExitCode.USAGE
    NOT_FOUND = ExitCode.NOT_FOUND
    TIMED_OUT = ExitCode.TIMED_OUT
    PARSE_ERROR = -32700
    INVALID_REQUEST = -32600
    METHOD_NOT_FOUND = -32601
    INVALID_PARAMS = -32602
    INTERNAL_ERROR = -32603
    TOO_MANY_CONNECTIONS = -32000


class ProtocolError(Exception):
    """A line that is not a message of this protocol. id: the request's, as far as it was read."""

    def __init__(self, code: ErrorCode, message: str, request_id: Id = None) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.id = request_id


class Request(msgspec.Struct, frozen=True, tag_field="jsonrpc", tag=VERSION, omit_defaults=True):
    """A call. Without an id it is a notification: done, but not answered."""

    method: str
    params: dict[str, object] = {}
    id: Id | UnsetType = UNSET


class ErrorData(msgspec.Struct, frozen=True):
    """What goes with an error: one line for each problem of a config file."""

    problems: list[str] = []


class Error(msgspec.Struct, frozen=True, omit_defaults=True):
    """Why a request was not granted. code is a Code, or one that a newer version added."""

    code: int
    message: str
    data: ErrorData | None = None


class Response(msgspec.Struct, frozen=True, tag_field="jsonrpc", tag=VERSION):
    """The answer to a granted request; result is JSON as it stood on the wire."""

    id: Id
    result: Raw


class ErrorResponse(msgspec.Struct, frozen=True, tag_field="jsonrpc", tag=VERSION):
    """The answer to a request that was not granted, or to a line that is none (id: None)."""

    id: Id
    error: Error


class Notification(msgspec.Struct, frozen=True, tag_field="jsonrpc", tag=VERSION):
    """What the server says unasked; params is JSON as it stood on the wire."""

    method: str
    params: Raw


class _Incoming(msgspec.Struct, frozen=True):
    """Whatever a client may receive, before it is known which of the three it is."""

    id: Id | UnsetType = UNSET
    result: Raw | UnsetType = UNSET
    error: Error | UnsetType = UNSET
    method: str | UnsetType = UNSET
    params: Raw | UnsetType = UNSET


Message = Request | Response | ErrorResponse | Notification


def encode(message: Message) -> bytes:
    """A message as the line that crosses the socket, newline included."""
    return msgspec.json.encode(message) + b"\n"


def encode_request(method: str, params: dict[str, object], request_id: int) -> bytes:
    """A request as a line; parameters of None are left out.

    Raises ProtocolError when it is longer than a server would read.
    """
    said = {key: value for key, value in params.items() if value is not None}
    line = encode(Request(method, said, request_id))
    if len(line) > REQUEST_LIMIT:
        raise ProtocolError(ErrorCode.INVALID_REQUEST, f"request longer than {REQUEST_LIMIT} bytes")
    return line


def encode_result(request_id: Id, result: object) -> bytes:
    """The answer to a granted request, as a line."""
    return encode(Response(request_id, Raw(msgspec.json.encode(result))))


def encode_error(request_id: Id, error: Error) -> bytes:
    """The answer to a request that was not granted, as a line."""
    return encode(ErrorResponse(request_id, error))


def decode_request(line: bytes) -> Request:
    """Read a client's line.

    Raises ProtocolError, which carries the id where one could be read.
    """
    document = _parsed(line)
    if not isinstance(document, dict):
        raise ProtocolError(
            ErrorCode.INVALID_REQUEST, "expected one JSON object per line (no batches)"
        )
    request_id = document.get("id")
    if isinstance(request_id, bool) or not isinstance(request_id, Id):
        raise ProtocolError(
            ErrorCode.INVALID_REQUEST, "expected an id that is a number or a string"
        )
    if document.get("jsonrpc") != VERSION:
        raise ProtocolError(ErrorCode.INVALID_REQUEST, 'expected "jsonrpc": "2.0"', request_id)
    try:
        return msgspec.convert(document, Request)
    except msgspec.ValidationError as error:
        raise ProtocolError(ErrorCode.INVALID_REQUEST, str(error), request_id) from error


def decode_params(request: Request, params: type[T]) -> T:
    """Read a request's parameters.

    Raises ProtocolError.
    """
    try:
        return msgspec.convert(request.params, params)
    except msgspec.ValidationError as error:
        request_id = None if request.id is UNSET else request.id
        message = f"{request.method}: {error}"
        raise ProtocolError(ErrorCode.INVALID_PARAMS, message, request_id) from error


def decode_incoming(line: bytes) -> Response | ErrorResponse | Notification:
    """Read a server's line. Fields that a newer server added are passed over.

    Raises ProtocolError.
    """
    try:
        match msgspec.json.decode(line, type=_Incoming):
            case _Incoming(id=None | int() | float() | str() as answered, result=Raw() as result):
                return Response(answered, result)
            case _Incoming(id=None | int() | float() | str() as answered, error=Error() as error):
                return ErrorResponse(answered, error)
            case _Incoming(method=str(method), params=Raw() as params):
                return Notification(method, params)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ProtocolError(ErrorCode.PARSE_ERROR, f"not a message: {error}") from error
    raise ProtocolError(ErrorCode.INVALID_REQUEST, "expected an answer or a notification")


def _parsed(line: bytes) -> object:
    try:
        parsed: object = msgspec.json.decode(line)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise ProtocolError(ErrorCode.PARSE_ERROR, f"not JSON: {error}") from error
    except RecursionError as error:
        raise ProtocolError(
            ErrorCode.PARSE_ERROR, "not JSON that is worth reading: too deep"
        ) from error
    return parsed
