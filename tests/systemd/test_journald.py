from __future__ import annotations

import logging
import os
from typing import TYPE_CHECKING

from tunnelkeeper.systemd.notify import PriorityFormatter, is_journal, journal_prefix

if TYPE_CHECKING:
    from pathlib import Path


def test_the_journal_is_known_by_the_stream_that_leads_to_it(tmp_path: Path) -> None:
    with (tmp_path / "stream").open("w") as stream, (tmp_path / "other").open("w") as other:
        found = os.fstat(stream.fileno())
        environment = {"JOURNAL_STREAM": f"{found.st_dev}:{found.st_ino}"}

        assert is_journal(stream, environment)
        assert not is_journal(other, environment)
        assert not is_journal(stream, {})
        assert not is_journal(stream, {"JOURNAL_STREAM": "nonsense"})
    assert not is_journal(stream, environment)


def test_each_level_has_its_priority() -> None:
    assert [
        journal_prefix(level) for level in ("error", "warning", "info", "debug", "critical")
    ] == [
        *("<3>", "<4>", "<6>", "<7>", "<2>"),
    ]


def test_every_line_of_a_record_has_the_priority() -> None:
    record = logging.makeLogRecord({"levelname": "ERROR", "msg": "one\ntwo"})

    assert PriorityFormatter("%(message)s").format(record) == "<3>one\n<3>two"
