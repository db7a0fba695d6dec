"""What the relay logs of its clients: one line, then counts; no name forges a line."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import asyncssh
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tunnelkeeper.core.log_limiter import INTERVAL
from tunnelkeeper.core.text import quoted
from tunnelkeeper.relay.refusal_log import (
    EVENT_BURST,
    STATEMENT_BURST,
    EventKind,
    LineFilter,
    RefusalKind,
    RefusalLog,
    client_name,
)

if TYPE_CHECKING:
    from tests.relay.in_process_relay import InProcessRelay


@pytest.fixture(autouse=True)
def _info(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "tunnelkeeper.relay")


def test_one_refusal_is_logged_and_the_rest_is_counted(caplog: pytest.LogCaptureFixture) -> None:
    refusals = RefusalLog(lambda: 0.0)
    for number in range(17_343):
        refusals.record(RefusalKind.OPEN, "203.0.113.9", "box17", f"reason {number}")
    refusals.record(RefusalKind.OPEN, "203.0.113.10", "ann", "another")
    refusals.close()

    assert caplog.messages == [
        "203.0.113.9 'box17': open refused: reason 0",
        "203.0.113.10 'ann': open refused: another",
        "203.0.113.9 'box17': open refused: 17,342 more in the last minute, the last: reason 17342",
    ]


def test_the_names_of_refused_logins_make_no_lines_of_their_own(
    caplog: pytest.LogCaptureFixture,
) -> None:
    refusals = RefusalLog(lambda: 0.0)
    for number in range(1000):
        refusals.record(RefusalKind.LOGIN, "203.0.113.9", f"user{number}", "no")

    assert caplog.messages == ["203.0.113.9 'user0': login refused: no"]


def test_events_are_logged_up_to_a_burst(caplog: pytest.LogCaptureFixture) -> None:
    refusals = RefusalLog(lambda: 0.0)
    for number in range(10 * EVENT_BURST):
        refusals.write(EventKind.LISTEN, "203.0.113.9 'box'", f"listens on {number}")
    refusals.close()

    assert len(caplog.messages) == EVENT_BURST + 1
    assert "270 more in the last minute" in caplog.messages[-1]


@given(st.text(max_size=100))
def test_a_name_cannot_end_its_quotes(name: str) -> None:
    text = quoted(name, 64)

    inner = text[1:-1].replace("\\\\", "")
    assert text.isprintable()
    assert "'" not in inner.replace("\\'", "")


def test_a_forged_name_stays_in_its_quotes() -> None:
    name = "x': login refused: no\n192.0.2.1 'root"

    assert client_name("203.0.113.9", name).startswith("203.0.113.9 'x\\'")
    assert "\n" not in client_name("203.0.113.9", name)


def test_a_statement_that_logs_too_often_is_bounded() -> None:
    now = [0.0]
    line_filter = LineFilter(lambda: now[0])

    def passes(number: int = 7) -> logging.LogRecord | None:
        name = "tunnelkeeper.relay.other"
        record = logging.LogRecord(name, logging.INFO, "file.py", number, "text %s", ("x",), None)
        return record if line_filter.filter(record) else None

    assert sum(passes() is not None for _ in range(5000)) == STATEMENT_BURST
    now[0] = INTERVAL
    assert passes(8) is not None  # another statement takes no count away
    record = passes()
    assert record is not None
    assert record.getMessage() == f"text x ({5000 - STATEMENT_BURST:,} more were not logged)"


async def test_a_client_that_is_refused_again_and_again_is_disconnected(
    relay: InProcessRelay, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    most = 50
    monkeypatch.setattr("tunnelkeeper.core.log_limiter.MAX_REFUSALS", most)
    key = asyncssh.generate_private_key("ssh-ed25519")
    relay.authorize(key, 'restrict,port-forwarding,permitopen="none:1"')
    opened = 0
    async with relay.client(key) as client:
        while not client.is_closed() and opened < 10 * most:
            opened += 1
            with pytest.raises((asyncssh.Error, OSError)):
                await client.open_connection("192.0.2.1", 80)
    await relay.wait_until_no_clients()

    assert most <= opened < 10 * most
    lines = [line for line in caplog.messages if "open refused" in line or "too many" in line]
    assert len(lines) == 2, lines
    assert lines[1].endswith("is disconnected: too many refused requests")
