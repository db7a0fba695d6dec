"""The page of the control protocol is true: its methods, parameters, fields and conversations."""

from __future__ import annotations

import json
import re
from itertools import pairwise
from pathlib import Path

import msgspec
import pytest

from tests.markdown import blocks, blocks_in, headings, rows_of, section
from tunnelkeeper.control.jsonrpc import ErrorCode, Notification, Response, decode_incoming
from tunnelkeeper.control.methods import METHODS, Method
from tunnelkeeper.control.payloads import (
    Affected,
    Answered,
    AnswerParams,
    AttendParams,
    Changes,
    Claimed,
    Connected,
    ConnectParams,
    Done,
    Event,
    Locked,
    LogLines,
    Opened,
    OpenParams,
    QuestionParams,
    Questions,
    SubscribeParams,
    Table,
    Unlocking,
    UnlockParams,
    Version,
)
from tunnelkeeper.core.snapshot import StatusSnapshot
from tunnelkeeper.relay import access_control
from tunnelkeeper.relay.access_control import Banned, Kicked, Unbanned

PROTOCOL = Path(__file__).parent.parent / "docs/control-protocol.md"
EVENTS = {"tunnel", "removed", "counters", "log", "question", "question_closed"}
PARAMETERS: dict[str, type[msgspec.Struct]] = {
    **{name: method.params for name, method in METHODS.items() if isinstance(method, Method)},
    "subscribe": SubscribeParams,
    "open": OpenParams,
    "connect": ConnectParams,
    "unlock": UnlockParams,
    "attend": AttendParams,
    "claim": QuestionParams,
    "answer": AnswerParams,
    "decline": QuestionParams,
}
RESULTS: dict[str, type[msgspec.Struct]] = {
    "version": Version,
    "start": Affected,
    "stop": Affected,
    "restart": Affected,
    "reload": Changes,
    "logs": LogLines,
    "open": Opened,
    "table": Table,
    "questions": Questions,
    "lock": Locked,
    "unlock": Unlocking,
    "attend": Done,
    "claim": Claimed,
    "answer": Answered,
    "decline": Done,
    "shutdown": Done,
    "subscribe": Done,
    "connect": Connected,
}


RELAY_RESULTS: dict[str, type[msgspec.Struct]] = {
    "kick": Kicked,
    "ban": Banned,
    "unban": Unbanned,
}


def test_every_method_is_documented_and_no_other() -> None:
    assert headings(PROTOCOL, 3) == list(PARAMETERS)


@pytest.mark.parametrize("name", PARAMETERS)
def test_a_method_is_documented_with_its_parameters(name: str) -> None:
    text = section(PROTOCOL, name)
    as_start = "The parameters of `start`" in text
    rows = rows_of(section(PROTOCOL, "start") if as_start else text)
    shown = {cells[0].strip("`") for cells in rows if len(cells) == 3}
    fields = {field.name for field in msgspec.structs.fields(PARAMETERS[name])}

    assert shown - EVENTS == fields


def test_the_error_codes_are_documented() -> None:
    rows = rows_of(section(PROTOCOL, "Errors"))

    assert sorted(int(cells[0].strip("`")) for cells in rows) == sorted(ErrorCode)


def test_the_status_in_the_protocol_has_all_fields_and_no_other() -> None:
    [text] = blocks_in(section(PROTOCOL, "status"), "json")
    decoded = msgspec.json.decode(text, type=StatusSnapshot)

    assert msgspec.to_builtins(decoded) == json.loads(text)


def test_the_conversations_in_the_protocol_are_valid() -> None:
    lines = [line for text in blocks(PROTOCOL, "json") for line in text.splitlines()]
    conversation = [line for line in lines if line.startswith('{"jsonrpc"')]
    for asked, said in pairwise(conversation):
        if "method" in (request := json.loads(asked)) and "id" in request:
            method = request["method"]
            params = PARAMETERS.get(method) or relay_parameters()[method]
            msgspec.convert(request.get("params", {}), params)
            check_answer(said, {**RESULTS, **RELAY_RESULTS}[method])
    for line in conversation:
        if "id" not in json.loads(line):
            check_event(line)


def test_the_methods_of_the_relay_are_documented_with_their_parameters() -> None:
    rows = rows_of(section(PROTOCOL, "The relay's methods"))
    documented = {row[0].strip("`"): set(re.findall("`(\\w+)`:", row[1])) for row in rows}

    assert documented == {
        name: {field.name for field in msgspec.structs.fields(params)}
        for name, params in relay_parameters().items()
    }


def relay_parameters() -> dict[str, type[msgspec.Struct]]:
    methods = access_control.METHODS
    return {name: method.params for name, method in methods.items() if isinstance(method, Method)}


def check_answer(line: str, kind: type[msgspec.Struct]) -> None:
    answer = decode_incoming(line.encode())
    if isinstance(answer, Response):
        result = msgspec.json.decode(answer.result, type=kind)
        assert msgspec.to_builtins(result) == msgspec.json.decode(answer.result)


def check_event(line: str) -> None:
    notification = decode_incoming(line.encode())
    assert isinstance(notification, Notification)
    event: Event = msgspec.json.decode(notification.params, type=Event)
    assert msgspec.to_builtins(event) == msgspec.json.decode(notification.params)
