"""Where a relay's log goes: its standard error, in lines like the supervisor's."""

from __future__ import annotations

import logging
import os
import sys
import time

from tunnelkeeper.ssh.asyncssh_logging import silence_asyncssh
from tunnelkeeper.systemd.notify import PriorityFormatter, is_journal, journal_prefix


class LineFormatter(logging.Formatter):
    """`2026-11-22T10:00:00Z info    the message`, as core.snapshot.LogRecord has it."""

    def __init__(self) -> None:
        super().__init__("%(asctime)s %(lowered)-7s %(message)s", "%Y-%m-%dT%H:%M:%SZ")
        self.converter = time.gmtime

    def format(self, record: logging.LogRecord) -> str:
        """See logging.Formatter."""
        record.lowered = record.levelname.lower()
        return super().format(record)


def to_stderr(level: int) -> None:
    """Write what this process logs there, for people or for the journal."""
    handler = logging.StreamHandler(sys.stderr)
    for_journal = is_journal(sys.stderr, os.environ)
    handler.setFormatter(PriorityFormatter("%(message)s") if for_journal else LineFormatter())
    for name in ("tunnelkeeper", "asyncio"):
        logger = logging.getLogger(name)
        logger.handlers = [handler]
        logger.propagate = False
        logger.setLevel(level)
    logging.getLogger("asyncio").setLevel(logging.WARNING)
    silence_asyncssh()


def complain(text: str) -> None:
    """Say why it cannot serve."""
    priority = journal_prefix("error") if is_journal(sys.stderr, os.environ) else ""
    print(f"{priority}tunnelkeeper: {text}", file=sys.stderr)  # noqa: T201  for whoever starts it
