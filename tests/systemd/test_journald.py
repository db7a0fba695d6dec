from __future__ import annotations

import logging
import os
from typing import TYPE_CHECKING

from tunnelkeeper.systemd.notify import PriorityFormatter, is_journal, journal_prefix

if TYPE_CHECKING:
    from pathlib import Path


def test_the_journal_is_recognized_by_journal_stream(tmp_path: Path) -> None:
    with (tmp_path / "stream").open("w") as stream, (tmp_path / "other").open("w") as other:
        stat = os.fstat(stream.fileno())
        environment = {"JOURNAL_STREAM": f"{stat.st_dev}:{stat.st_ino}"}

        assert is_journal(stream, environment)
        assert not is_journal(other, environment)
        assert not is_journal(stream, {})
        assert not is_journal(stream, {"JOURNAL_STREAM": "nonsense"})
    assert not is_journal(stream, environment)


def test_each_log_level_has_its_priority() -> None:
    assert [
        journal_prefix(level) for level in ("error", "warning", "info", "debug", "critical")
    ] == [
        *("<3>", "<4>", "<6>", "<7>", "<2>"),
    ]


def test_every_line_of_a_record_has_the_priority_prefix() -> None:
    record = logging.makeLogRecord({"levelname": "ERROR", "msg": "one\ntwo"})

    assert PriorityFormatter("%(message)s").format(record) == "<3>one\n<3>two"
