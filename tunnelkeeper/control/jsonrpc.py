"""The envelope of the control protocol: JSON-RPC 2.0, one object per line.

Pure: it reads no socket and knows no methods.
"""

from __future__ import annotations

from enum import IntEnum
from typing import TypeVar

import msgspec
from msgspec import UNSET, Raw, UnsetType

from tunnelkeeper.core.exit_codes import ExitCode

REQUEST_LIMIT = 64 * 1024
"""Bytes of one request without its newline. A request that names a thousand tunnels fits."""

VERSION = "2.0"

T = TypeVar("T")
Id = int | float | str | None


class ErrorCode(IntEnum):
    """The codes of errors: the program's exit codes, and those of JSON-RPC 2.0 section 5.1."""

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
    """A line that is not a message of this protocol.

    id: the request's, if it could be read. hint: what to do about it, or empty.
    """

    def __init__(
        self, code: ErrorCode, message: str, request_id: Id = None, hint: str = ""
    ) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.id = request_id
        self.hint = hint


class Request(msgspec.Struct, frozen=True, tag_field="jsonrpc", tag=VERSION, omit_defaults=True):
    """A call. Without an id it is a notification, which is carried out and not answered."""

    method: str
    params: dict[str, object] = {}
    id: Id | UnsetType = UNSET


class ErrorData(msgspec.Struct, frozen=True):
    """Details of an error.

    problems: one line for each problem of a config file. hints: what to do about each of them, or
    empty; as many as there are problems. hint: what to do about the error, or empty.
    """

    problems: list[str] = []
    hint: str = ""
    hints: list[str] = []


class Error(msgspec.Struct, frozen=True, omit_defaults=True):
    """The reason why a request failed. code: an ErrorCode, or one that a newer version added."""

    code: int
    message: str
    data: ErrorData | None = None


class Response(msgspec.Struct, frozen=True, tag_field="jsonrpc", tag=VERSION):
    """The answer to a request that succeeded. result: JSON as received."""

    id: Id
    result: Raw


class ErrorResponse(msgspec.Struct, frozen=True, tag_field="jsonrpc", tag=VERSION):
    """The answer to a request that failed, or to a line that is not a request (id: None)."""

    id: Id
    error: Error


class Notification(msgspec.Struct, frozen=True, tag_field="jsonrpc", tag=VERSION):
    """A message that the server sends without a request. params: JSON as received."""

    method: str
    params: Raw


class _Incoming(msgspec.Struct, frozen=True):
    """Any message to a client, before its kind is known."""

    id: Id | UnsetType = UNSET
    result: Raw | UnsetType = UNSET
    error: Error | UnsetType = UNSET
    method: str | UnsetType = UNSET
    params: Raw | UnsetType = UNSET


Message = Request | Response | ErrorResponse | Notification


def encode(message: Message) -> bytes:
    """Return a message as a line, newline included."""
    return msgspec.json.encode(message) + b"\n"


def encode_request(method: str, params: dict[str, object], request_id: int) -> bytes:
    """Return a request as a line. Parameters that are None are left out.

    Raises ProtocolError if it is longer than a server would read.
    """
    given = {key: value for key, value in params.items() if value is not None}
    line = encode(Request(method, given, request_id))
    if len(line) > REQUEST_LIMIT:
        raise ProtocolError(ErrorCode.INVALID_REQUEST, f"request longer than {REQUEST_LIMIT} bytes")
    return line


def encode_result(request_id: Id, result: object) -> bytes:
    """Return the answer to a request that succeeded, as a line."""
    return encode(Response(request_id, Raw(msgspec.json.encode(result))))


def encode_error(request_id: Id, error: Error) -> bytes:
    """Return the answer to a request that failed, as a line."""
    return encode(ErrorResponse(request_id, error))


def decode_request(line: bytes) -> Request:
    """Parse a client's line.

    Raises ProtocolError, with the request's id if it could be read.
    """
    document = _parse(line)
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
    """Parse a request's parameters.

    Raises ProtocolError.
    """
    try:
        return msgspec.convert(request.params, params)
    except msgspec.ValidationError as error:
        request_id = None if request.id is UNSET else request.id
        message = f"{request.method}: {error}"
        raise ProtocolError(ErrorCode.INVALID_PARAMS, message, request_id) from error


def decode_incoming(line: bytes) -> Response | ErrorResponse | Notification:
    """Parse a server's line. Fields that a newer server added are ignored.

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


def _parse(line: bytes) -> object:
    try:
        parsed: object = msgspec.json.decode(line)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise ProtocolError(ErrorCode.PARSE_ERROR, f"not JSON: {error}") from error
    except RecursionError as error:
        raise ProtocolError(
            ErrorCode.PARSE_ERROR, "not JSON that can be read: nested too deeply"
        ) from error
    return parsed
