from __future__ import annotations

from contextlib import suppress

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tunnelkeeper.control.jsonrpc import (
    REQUEST_LIMIT,
    Error,
    ErrorCode,
    ErrorData,
    ErrorResponse,
    Notification,
    ProtocolError,
    Request,
    Response,
    decode_incoming,
    decode_params,
    decode_request,
    encode,
    encode_error,
    encode_request,
    encode_result,
)
from tunnelkeeper.control.payloads import LogsParams, Selection, StatusParams
from tunnelkeeper.core.exit_codes import ExitCode

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=10,
)


def decode_error(line: bytes) -> ProtocolError:
    with pytest.raises(ProtocolError) as caught:
        decode_request(line)
    return caught.value


def test_an_encoded_request_is_decoded_unchanged() -> None:
    line = encode_request("status", {"names": ["db"]}, 7)

    assert line == b'{"jsonrpc":"2.0","method":"status","params":{"names":["db"]},"id":7}\n'
    assert decode_request(line) == Request("status", {"names": ["db"]}, 7)


def test_parameters_that_are_none_are_omitted() -> None:
    assert decode_request(encode_request("logs", {"name": None}, 1)).params == {}


def test_a_request_above_the_size_limit_is_refused() -> None:
    with pytest.raises(ProtocolError, match="longer than 65536 bytes"):
        encode_request("status", {"names": ["x" * REQUEST_LIMIT]}, 1)


def test_a_request_without_an_id_is_a_notification() -> None:
    assert decode_request(b'{"jsonrpc":"2.0","method":"reload"}').id is msgspec.UNSET
    assert decode_request(b'{"jsonrpc":"2.0","method":"reload","id":null}').id is None


@pytest.mark.parametrize(
    ("line", "code", "request_id"),
    [
        (b"", ErrorCode.PARSE_ERROR, None),
        (b"status", ErrorCode.PARSE_ERROR, None),
        (b'{"jsonrpc":"2.0"', ErrorCode.PARSE_ERROR, None),
        (b'"\xff"', ErrorCode.PARSE_ERROR, None),
        (b"[" * 60_000, ErrorCode.PARSE_ERROR, None),
        (b"[]", ErrorCode.INVALID_REQUEST, None),
        (b"1", ErrorCode.INVALID_REQUEST, None),
        (b'{"method":"status","id":3}', ErrorCode.INVALID_REQUEST, 3),
        (b'{"jsonrpc":"1.0","method":"status","id":3}', ErrorCode.INVALID_REQUEST, 3),
        (b'{"jsonrpc":"2.0","id":3}', ErrorCode.INVALID_REQUEST, 3),
        (b'{"jsonrpc":"2.0","method":3,"id":"a"}', ErrorCode.INVALID_REQUEST, "a"),
        (b'{"jsonrpc":"2.0","method":"status","params":[],"id":3}', ErrorCode.INVALID_REQUEST, 3),
        (b'{"jsonrpc":"2.0","method":"status","id":true}', ErrorCode.INVALID_REQUEST, None),
        (b'{"jsonrpc":"2.0","method":"status","id":{}}', ErrorCode.INVALID_REQUEST, None),
    ],
)
def test_an_invalid_request_has_an_error_code_and_its_id(
    line: bytes, code: ErrorCode, request_id: int | str | None
) -> None:
    error = decode_error(line)

    assert (error.code, error.id) == (code, request_id)


@given(st.binary() | JSON.map(msgspec.json.encode))
def test_any_line_is_a_request_or_a_protocol_error(line: bytes) -> None:
    with suppress(ProtocolError):
        assert decode_request(line).method is not None


@given(st.binary() | JSON.map(msgspec.json.encode))
def test_any_line_from_a_server_is_a_message_or_a_protocol_error(line: bytes) -> None:
    with suppress(ProtocolError):
        assert decode_incoming(line) is not None


def test_an_invalid_parameter_is_named() -> None:
    request = Request("status", {"names": "db"}, 4)

    with pytest.raises(ProtocolError, match=r"status: Expected `array \| null`.*names") as caught:
        decode_params(request, StatusParams)
    assert (caught.value.code, caught.value.id) == (ErrorCode.INVALID_PARAMS, 4)


def test_an_unknown_parameter_is_refused() -> None:
    with pytest.raises(ProtocolError, match="force"):
        decode_params(Request("stop", {"force": True}, 1), Selection)


def test_a_negative_number_of_lines_is_refused() -> None:
    with pytest.raises(ProtocolError, match="lines"):
        decode_params(Request("logs", {"lines": -1}, 1), LogsParams)


def test_the_three_kinds_of_server_message_are_decoded() -> None:
    error = Error(ErrorCode.BAD_CONFIG, "bad", ErrorData(["tunnels.toml:1: bad"]))
    event = Notification("event", msgspec.Raw(b"{}"))

    assert decode_incoming(encode_result(1, {"a": 1})) == Response(1, msgspec.Raw(b'{"a":1}'))
    assert decode_incoming(encode_error(None, error)) == ErrorResponse(None, error)
    assert decode_incoming(encode(event)) == event


def test_a_null_result_is_a_response() -> None:
    assert decode_incoming(encode_result(1, None)) == Response(1, msgspec.Raw(b"null"))


def test_unknown_fields_of_a_newer_server_are_ignored() -> None:
    line = b'{"jsonrpc":"2.0","id":1,"result":{},"took_ms":3}'

    assert decode_incoming(line) == Response(1, msgspec.Raw(b"{}"))


def test_the_supervisor_s_error_codes_equal_the_exit_codes() -> None:
    codes: set[int] = {
        ErrorCode.FAILED,
        ErrorCode.BAD_CONFIG,
        ErrorCode.NOT_FOUND,
        ErrorCode.TIMED_OUT,
    }

    assert codes == {ExitCode.FAILED, ExitCode.USAGE, ExitCode.NOT_FOUND, ExitCode.TIMED_OUT}
    assert not (set(ErrorCode) - codes) & set(ExitCode)
