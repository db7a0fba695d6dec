"""Text has local times with their offset, JSON has UTC."""

from __future__ import annotations

import io
import json
import logging
from datetime import UTC, datetime, timedelta

import pytest

from tests.control.fakes import NOON
from tests.fake_clock import FakeClock
from tests.relay.test_relay_table import make_status
from tunnelkeeper.cli.relay_table import refusal_lines
from tunnelkeeper.core.relay_snapshot import RefusalSnapshot, RefusalsSnapshot
from tunnelkeeper.dashboard.app import now
from tunnelkeeper.presentation.formatting import format_moment, parse_time
from tunnelkeeper.relay.main import LineFormatter
from tunnelkeeper.tunnel.event_log import EventLog

pytestmark = pytest.mark.usefixtures("central_europe")


@pytest.mark.parametrize(
    ("moment", "local"),
    [
        (datetime(2026, 1, 1, 23, 30, tzinfo=UTC), "2026-01-02T00:30:00+01:00"),
        (datetime(2026, 7, 1, 23, 30, 0, 999_999, tzinfo=UTC), "2026-07-02T01:30:00+02:00"),
    ],
)
def test_the_offset_is_that_of_the_moment(moment: datetime, local: str) -> None:
    assert format_moment(moment) == local
    assert parse_time(local) == moment.replace(microsecond=0)
    assert format_moment(moment, utc=True).endswith("23:30:00Z")


def test_the_supervisor_s_log() -> None:
    text, data, clock = io.StringIO(), io.StringIO(), FakeClock()
    EventLog(clock, text).write("info", "db", "up")
    EventLog(clock, data, format="json").write("info", "db", "up")

    assert text.getvalue() == f"{format_moment(clock.wall())} info    db: up\n"
    assert "+0" in text.getvalue()
    assert json.loads(data.getvalue())["at"] == format_moment(clock.wall(), utc=True)


def test_the_relay_s_log() -> None:
    record = logging.makeLogRecord({"levelname": "INFO", "msg": "listening", "created": 1.5})

    assert LineFormatter().format(record) == "1970-01-01T01:00:01+01:00 info    listening"


def test_refusals_of_the_relay() -> None:
    refusal = RefusalSnapshot(NOON, "login", "192.0.2.9", "eve", "no")
    status = make_status(refusals=RefusalsSnapshot(0, 1, 0, 0, [refusal]))
    since, line = refusal_lines(status)
    local = format_moment(parse_time(NOON))

    assert "+0" in local
    assert since.startswith(f"refused since {local}: ")
    assert line.startswith(f"{local}  login")
    assert NOON in refusal_lines(status, utc=True)[0]


def test_the_dashboard() -> None:
    assert now().wall.utcoffset() in {timedelta(hours=1), timedelta(hours=2)}
    assert now(utc=True).wall.utcoffset() == timedelta(0)
