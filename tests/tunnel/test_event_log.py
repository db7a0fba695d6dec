"""The event log: retention, order and line formats."""

from __future__ import annotations

import io
import json
import logging
from typing import TYPE_CHECKING, TextIO

import pytest

from tests.fake_clock import FakeClock
from tunnelkeeper.core.text import RECORD_LIMIT
from tunnelkeeper.tunnel.event_log import (
    MAX_RECORDS_PER_TUNNEL,
    MAX_SUPERVISOR_RECORDS,
    THROTTLE_BURST,
    THROTTLE_INTERVAL,
    EventLog,
    EventLogHandler,
    Level,
    redirected_loggers,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tunnelkeeper.core.configuration import LogLevel
    from tunnelkeeper.core.snapshot import LogRecord

LEVELS: tuple[Level, ...] = ("debug", "info", "warning", "error")


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def out() -> io.StringIO:
    return io.StringIO()


@pytest.fixture
def event_log(clock: FakeClock, out: io.StringIO) -> EventLog:
    return EventLog(clock, out)


def messages(records: list[LogRecord]) -> list[str]:
    return [record.message for record in records]


def test_a_text_line_has_time_level_tunnel_and_message(
    event_log: EventLog, out: io.StringIO
) -> None:
    event_log.write("warning", "db", "degraded")
    event_log.write("info", "", "reloaded: nothing changed")

    assert out.getvalue() == (
        "2026-11-22T12:00:00Z warning db: degraded\n"
        "2026-11-22T12:00:00Z info    reloaded: nothing changed\n"
    )


def test_a_line_for_journald_has_a_priority_prefix_and_no_time(
    clock: FakeClock, out: io.StringIO
) -> None:
    event_log = EventLog(clock, out, for_journald=True)
    for level in LEVELS[1:]:
        event_log.write(level, "db", "text")
    event_log.write("error", "db", "text", "hint")
    event_log.format = "json"
    event_log.write("error", "", "as JSON", "hint")

    *lines, last = out.getvalue().splitlines()

    with_hint = ["<3>db: text", "<3>db:   hint: hint"]
    assert lines == ["<6>db: text", "<4>db: text", "<3>db: text", *with_hint]
    assert json.loads(last.removeprefix("<3>"))["message"] == "as JSON"


def test_a_hint_is_a_second_line_with_the_same_start(event_log: EventLog, out: io.StringIO) -> None:
    event_log.write("warning", "db", "refused", "is sshd running?\x1b[m\nup")

    first, second = out.getvalue().splitlines()
    assert first.removesuffix("refused") == second.partition("  hint: ")[0]
    assert second.endswith("warning db:   hint: is sshd running?\\x1b[m\\nup")


def test_a_json_line_has_the_same_fields(event_log: EventLog, out: io.StringIO) -> None:
    event_log.format = "json"

    event_log.write("error", "db", 'blocked: "denied"', "add the key")

    assert json.loads(out.getvalue()) == {
        "at": "2026-11-22T12:00:00Z",
        "level": "error",
        "tunnel": "db",
        "message": 'blocked: "denied"',
        "hint": "add the key",
    }
    assert out.getvalue().count("\n") == 1


@pytest.mark.parametrize("level", LEVELS)
def test_records_below_the_level_are_neither_kept_nor_printed_nor_published(
    event_log: EventLog, out: io.StringIO, level: LogLevel
) -> None:
    published: list[LogRecord] = []
    event_log.level, event_log.on_record = level, published.append
    for each in LEVELS:
        event_log.write(each, "db", each)

    expected = list(LEVELS[LEVELS.index(level) :])

    assert messages(event_log.tail("db", 10)) == expected
    assert messages(published) == expected
    assert len(out.getvalue().splitlines()) == len(expected)


@pytest.mark.parametrize("form", ["text", "json"])
def test_control_characters_of_a_server_are_escaped(
    event_log: EventLog, out: io.StringIO, form: str
) -> None:
    event_log.format = "json" if form == "json" else "text"

    event_log.write("info", "db", "\x1b[2J\r\n\x9b31m\u202etxet \ud800 \0")

    assert out.getvalue().endswith("\n")
    assert out.getvalue()[:-1].isprintable()
    [record] = event_log.tail("db", 1)
    assert record.message == r"\x1b[2J\r\n\x9b31m\u202etxet \ud800 \x00"


def test_a_long_message_is_truncated(event_log: EventLog) -> None:
    event_log.write("info", "db", "x" * 1_000_000)

    assert len(event_log.tail("db", 1)[0].message) == RECORD_LIMIT


def test_each_tunnel_keeps_its_newest_records_independently(event_log: EventLog) -> None:
    event_log.out = None
    event_log.write("info", "quiet", "the only line")
    for number in range(MAX_RECORDS_PER_TUNNEL + 1):
        event_log.write("info", "chatty", str(number))
    for number in range(MAX_SUPERVISOR_RECORDS + 1):
        event_log.write("info", "", str(number))

    chatty = messages(event_log.tail("chatty", 10_000))
    assert (len(chatty), chatty[0], chatty[-1]) == (
        MAX_RECORDS_PER_TUNNEL,
        "1",
        str(MAX_RECORDS_PER_TUNNEL),
    )
    assert messages(event_log.tail("quiet", 10_000)) == ["the only line"]
    everything = event_log.tail(None, 10_000)
    assert len(everything) == 1 + MAX_RECORDS_PER_TUNNEL + MAX_SUPERVISOR_RECORDS


def test_the_records_of_all_tunnels_are_in_order_of_writing(
    event_log: EventLog,
) -> None:
    for number, tunnel in enumerate(["db", "", "web", "db", "", "web"]):
        event_log.write("info", tunnel, str(number))

    assert messages(event_log.tail(None, 10)) == ["0", "1", "2", "3", "4", "5"]
    assert messages(event_log.tail(None, 2)) == ["4", "5"]
    assert messages(event_log.tail("web", 10)) == ["2", "5"]


@pytest.mark.parametrize("lines", [0, -1])
def test_a_tail_of_zero_or_fewer_lines_is_empty(event_log: EventLog, lines: int) -> None:
    event_log.write("info", "db", "up")

    assert event_log.tail("db", lines) == []
    assert event_log.tail("unknown", 5) == []


def test_forget_drops_the_records_of_a_tunnel(event_log: EventLog) -> None:
    event_log.write("info", "db", "up")

    event_log.forget("db")
    event_log.forget("db")

    assert event_log.tail(None, 10) == []


def test_a_throttled_message_is_not_repeated_within_the_interval(
    event_log: EventLog, clock: FakeClock
) -> None:
    for _ in range(3):
        event_log.write_throttled("warning", "db", "refused")
    event_log.write_throttled("warning", "web", "refused")
    event_log.write_throttled("warning", "db", "timed out")
    assert messages(event_log.tail(None, 10)) == ["refused", "refused", "timed out"]

    clock.now += THROTTLE_INTERVAL - 0.1
    event_log.write_throttled("warning", "db", "refused")
    assert len(event_log.tail("db", 10)) == 2

    clock.now += 0.1
    event_log.write_throttled("warning", "db", "refused")
    assert len(event_log.tail("db", 10)) == 3


def test_many_different_throttled_messages_use_bounded_memory(event_log: EventLog) -> None:
    event_log.out = None
    for number in range(3 * MAX_SUPERVISOR_RECORDS):
        event_log.write_throttled("warning", "db", f"port {number} refused")

    assert len(event_log._last_written) <= MAX_SUPERVISOR_RECORDS + 1
    assert len(event_log.tail("db", 10_000)) == THROTTLE_BURST


def test_different_throttled_messages_of_a_kind_are_counted(
    event_log: EventLog, clock: FakeClock
) -> None:
    for number in range(1000):
        event_log.write_throttled("warning", "db", f"socks: {number} refused", "socks")
    event_log.write_throttled("warning", "db", "local: refused", "local")
    assert len(event_log.tail("db", 10_000)) == THROTTLE_BURST + 1

    clock.now += 60
    event_log.write("info", "web", "up")

    last = messages(event_log.tail("db", 1))
    assert last == ["socks: 980 more in the last minute, the last: socks: 999 refused"]


class FullDisk(io.StringIO):
    def write(self, text: str) -> int:
        raise OSError(28, "No space left on device")


class Hurried(io.StringIO):
    def flush(self) -> None:
        raise BrokenPipeError(32, "Broken pipe")


def closed() -> io.StringIO:
    stream = io.StringIO()
    stream.close()
    return stream


@pytest.mark.parametrize("stream", [FullDisk(), Hurried(), closed()])
def test_a_failing_output_stream_raises_nothing(event_log: EventLog, stream: TextIO) -> None:
    event_log.out = stream

    event_log.write("info", "db", "up")

    assert messages(event_log.tail("db", 1)) == ["up"]


@pytest.fixture
def logger(event_log: EventLog) -> Iterator[logging.Logger]:
    """Yield a logger whose records go only into the event log."""
    logger = logging.getLogger("tests.a_library")
    logger.setLevel(logging.DEBUG)
    logger.propagate = False
    logger.handlers = [EventLogHandler(event_log)]
    yield logger
    logger.handlers.clear()


def test_warnings_of_libraries_are_in_the_event_log(
    event_log: EventLog, logger: logging.Logger
) -> None:
    logger.info("not worth a line")
    logger.warning("slow: %d s", 7)
    logger.critical("on\nfire")

    lines = [(r.level, r.tunnel, r.message) for r in event_log.tail(None, 10)]
    assert lines == [("warning", "", "slow: 7 s"), ("error", "", r"on\nfire")]


def test_an_exception_is_logged_as_one_line(event_log: EventLog, logger: logging.Logger) -> None:
    try:
        raise ValueError("the reason")
    except ValueError:
        logger.exception("an internal fault")
    logger.error("no exception at hand", exc_info=(None, None, None))

    assert messages(event_log.tail(None, 10)) == [
        "an internal fault: ValueError: the reason",
        "no exception at hand",
    ]


def test_loggers_are_redirected_for_a_while(event_log: EventLog) -> None:
    logger = logging.getLogger("tunnelkeeper")
    before = (logger.handlers, logger.propagate)

    with redirected_loggers(event_log):
        logging.getLogger("tunnelkeeper.net").warning("slow")
    after = (logger.handlers, logger.propagate)

    assert messages(event_log.tail(None, 10)) == ["slow"]
    assert after == before


def test_the_line_for_lost_lines_has_the_format_of_the_log(event_log: EventLog) -> None:
    assert event_log.describe_loss(2).endswith(
        "warning 2 lines were lost: the log could not be written\n"
    )
    event_log.format = "json"
    assert json.loads(event_log.describe_loss(1))["level"] == "warning"
    event_log.format, event_log.for_journald = "text", True
    assert event_log.describe_loss(1) == "<4>1 line was lost: the log could not be written\n"
