"""The log of a supervisor that has ended: the end of its log file, or of the journal."""

from __future__ import annotations

import os
import re
import stat
from dataclasses import dataclass
from itertools import chain, count
from typing import TYPE_CHECKING

import msgspec

from tunnelkeeper import paths
from tunnelkeeper.control import log_files
from tunnelkeeper.control.payloads import LOG_LINES_LIMIT
from tunnelkeeper.core.message import HINT_LABEL
from tunnelkeeper.core.name_patterns import matches_any
from tunnelkeeper.core.snapshot import LogRecord
from tunnelkeeper.net.rotating_file import old_file
from tunnelkeeper.presentation.formatting import parse_time
from tunnelkeeper.systemd import journal

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping
    from datetime import datetime
    from pathlib import Path

SIZE_LIMIT = 4 * 1024 * 1024
"""Bytes at the end of a log file that are read."""

_LINE = re.compile(
    r"(?P<at>\d{4}-\d\d-\d\dT\S+) (?P<level>debug  |info   |warning|error  ) (?P<text>.*)"
)
_TUNNEL = re.compile(r"([A-Za-z0-9._-]{1,64}): (.*)", re.DOTALL)


@dataclass(frozen=True, slots=True)
class PastLog:
    """Records that were found, newest last, and where: a path, or `the journal`."""

    source: str
    records: list[LogRecord]

    @property
    def newest(self) -> datetime | None:
        """The time of the newest record that has one."""
        return next((parse_time(r.at) for r in reversed(self.records) if r.at), None)


def find_past_log(
    environment: Mapping[str, str], socket: Path, names: Collection[str], lines: int
) -> PastLog | None:
    """Return the newest lines of tunnels, or of everything, from where the last ones were written.

    socket: the control socket of the supervisor. names: names and patterns; none for everything.

    None: neither a log file nor the journal has a line.
    """
    found = [
        *(
            PastLog(str(file), parse_lines(read_rotated(file)))
            for file in log_files.find(paths.log_path(environment), socket)
        ),
        PastLog("the journal", join_hints(map(_parsed, journal.read_journal(LOG_LINES_LIMIT)))),
    ]
    dated = [(log.newest, log) for log in found if log.newest is not None]
    if not dated:
        return next((log for log in found if log.records), None)
    _, log = max(dated, key=lambda each: each[0])
    records = [each for each in log.records if not names or matches_any(each.tunnel, names)]
    return PastLog(log.source, records[len(records) - min(lines, len(records)) :])


def read_rotated(path: Path, size_limit: int = SIZE_LIMIT) -> list[str]:
    """Return the last lines of a log and of the files that it was rotated to, oldest first.

    Older files are read until there are size_limit bytes.
    """
    files: list[list[str]] = []
    for number in count():
        file = old_file(path, number)
        if size_limit <= 0 or not file.exists():
            break
        files.insert(0, read_end(file, size_limit))
        size_limit -= file.stat().st_size
    return list(chain.from_iterable(files))


def read_end(path: Path, size_limit: int = SIZE_LIMIT) -> list[str]:
    """Return the last lines of a regular file; none if it cannot be read."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except OSError:
        return []
    with open(descriptor, "rb") as file:  # noqa: PTH123  not a FIFO that replaces it meanwhile
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            return []
        start = max(0, status.st_size - size_limit)
        file.seek(start)
        lines = file.read(size_limit).decode(errors="replace").splitlines()
    return lines[1:] if start else lines


def parse_lines(lines: Iterable[str]) -> list[LogRecord]:
    """Return the records in the lines of a log file, text or JSON. Other lines have no time."""
    return join_hints(_parse_line(line) for line in lines if line.strip())


def join_hints(records: Iterable[LogRecord]) -> list[LogRecord]:
    """Return the records with the hints that were lines of their own below them."""
    joined: list[LogRecord] = []
    for record in records:
        above = joined[-1] if joined else None
        if above is not None and _is_hint_of(above, record):
            # `ended: ...` of the supervisor was read as a message of a tunnel of that name.
            text = above.message if record.tunnel else above.lines[0]
            hint = record.message.removeprefix(HINT_LABEL)
            joined[-1] = LogRecord(above.at, above.level, record.tunnel, text, hint)
        else:
            joined.append(record)
    return joined


def _is_hint_of(above: LogRecord, record: LogRecord) -> bool:
    return (
        record.message.startswith(HINT_LABEL)
        and not (above.hint or above.message.startswith(HINT_LABEL))
        and above.level == record.level
        and record.tunnel in {above.tunnel, ""}
    )


def _parse_line(line: str) -> LogRecord:
    if found := _LINE.fullmatch(line):
        try:
            parse_time(found["at"])
        except ValueError:
            return LogRecord("", "info", "", line)
        fields = {
            "at": found["at"],
            "level": found["level"].rstrip(),
            "tunnel": "",
            "message": found["text"],
        }
        return _parsed(msgspec.convert(fields, LogRecord))
    return _from_json(line) or LogRecord("", "info", "", line)


def _parsed(record: LogRecord) -> LogRecord:
    """Return a record of the journal or a file with its tunnel, if the message names one."""
    if decoded := _from_json(record.message):
        return decoded
    if found := _TUNNEL.fullmatch(record.message):
        return LogRecord(record.at, record.level, found[1], found[2])
    return record


def _from_json(line: str) -> LogRecord | None:
    """Return the record of a line that was written with `log_format = "json"`."""
    if not line.startswith("{"):
        return None
    try:
        record = msgspec.json.decode(line, type=LogRecord)
        parse_time(record.at)
    except (msgspec.DecodeError, ValueError, UnicodeEncodeError):
        return None
    return record
