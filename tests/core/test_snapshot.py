"""The JSON of `status`: fields may be added but never renamed, moved or removed."""

from __future__ import annotations

import json
from typing import get_args

import msgspec
import pytest

from tunnelkeeper.core.snapshot import (
    FailureSnapshot,
    ForwardSnapshot,
    HopSnapshot,
    ProgressSnapshot,
    StateName,
    StatusSnapshot,
    SupervisorSnapshot,
    TunnelSnapshot,
)

NOON = "2026-11-22T12:00:00Z"
FAILURE = FailureSnapshot("refused", "me@relay:22", "Connection refused", "is sshd running?", NOON)
FORWARD = ForwardSnapshot("local", "127.0.0.1:5432", "db.internal:5432", "pending", FAILURE)
TUNNEL = TunnelSnapshot(
    name="db",
    state="backoff",
    wanted=True,
    since=NOON,
    host="me@relay:22",
    jump=[],
    groups=["work"],
    attempt=2,
    retry_at=NOON,
    restarts=0,
    rtt_ms=None,
    cipher=None,
    bytes_in=0,
    bytes_out=0,
    connections=0,
    connections_total=0,
    failure=FAILURE,
    forwards=[FORWARD],
    progress=ProgressSnapshot("me@relay:22", "connect"),
    hops=[HopSnapshot("me@relay:22", connected=False)],
)
SUPERVISOR = SupervisorSnapshot("0.1.0", 1, "tunnels.toml", NOON, 1, 0.1, 9)
STATUS = StatusSnapshot(SUPERVISOR, [TUNNEL])

DOCUMENTED = {
    "supervisor": "version pid config started_at memory_bytes cpu_seconds open_files",
    "tunnel": "name state wanted since host jump groups attempt retry_at restarts rtt_ms cipher"
    " bytes_in bytes_out connections connections_total failure forwards",
    "forward": "kind listen connect state failure bytes_in bytes_out connections connections_total",
    "failure": "cause hop message hint at",
}
"""The documented fields that scripts may read, in their order."""


@pytest.mark.parametrize(
    ("kind", "value"),
    [("supervisor", SUPERVISOR), ("tunnel", TUNNEL), ("forward", FORWARD), ("failure", FAILURE)],
)
def test_no_documented_field_is_renamed_moved_or_removed(kind: str, value: msgspec.Struct) -> None:
    documented = DOCUMENTED[kind].split()
    printed = json.loads(msgspec.json.encode(value))

    assert [name for name in printed if name in documented] == documented


def test_a_status_round_trips_through_json() -> None:
    line = msgspec.json.encode(STATUS)

    assert msgspec.json.decode(line, type=StatusSnapshot) == STATUS


def test_unknown_fields_of_a_newer_supervisor_are_ignored() -> None:
    newer = json.loads(msgspec.json.encode(STATUS))
    newer["tunnels"][0]["mood"] = "fine"

    assert msgspec.json.decode(json.dumps(newer), type=StatusSnapshot) == STATUS


def test_an_unknown_state_is_rejected() -> None:
    unknown = json.loads(msgspec.json.encode(STATUS))
    unknown["tunnels"][0]["state"] = "sleeping"

    with pytest.raises(msgspec.ValidationError, match="sleeping"):
        msgspec.json.decode(json.dumps(unknown), type=StatusSnapshot)


def test_the_state_names_are_those_of_the_documentation() -> None:
    assert get_args(StateName) == (
        "stopped",
        "connecting",
        "up",
        "degraded",
        "backoff",
        "blocked",
        "stopping",
    )
