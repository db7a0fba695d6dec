"""The log lines of a relay."""

from __future__ import annotations

import logging

from tunnelkeeper.core.snapshot import LogRecord
from tunnelkeeper.presentation.formatting import format_record
from tunnelkeeper.relay.main import LineFormatter


def test_a_log_line_has_the_format_of_the_supervisor() -> None:
    record = logging.makeLogRecord(
        {"levelname": "WARNING", "msg": "%s is refused", "args": ("box",), "created": 1.5}
    )
    as_the_supervisors = LogRecord("1970-01-01T00:00:01Z", "warning", "", "box is refused")

    assert LineFormatter().format(record) == format_record(as_the_supervisors)
