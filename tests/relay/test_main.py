"""The log lines of a relay, and signals at its end."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
from typing import TYPE_CHECKING, Any

from tests.fake_clock import settle
from tunnelkeeper.core.snapshot import LogRecord
from tunnelkeeper.presentation.formatting import record_lines
from tunnelkeeper.relay import main
from tunnelkeeper.relay.access_control import AccessControl
from tunnelkeeper.relay.config import ConfigSource
from tunnelkeeper.relay.main import LineFormatter
from tunnelkeeper.systemd import notify

if TYPE_CHECKING:
    from pathlib import Path

    import pytest


def test_a_log_line_has_the_format_of_the_supervisor() -> None:
    record = logging.makeLogRecord(
        {"levelname": "WARNING", "msg": "%s is refused", "args": ("box",), "created": 1.5}
        | {"hint": "add it"}
    )
    as_the_supervisors = LogRecord(
        "1970-01-01T00:00:01Z", "warning", "", "box is refused", "add it"
    )

    assert LineFormatter().format(record).splitlines() == record_lines(as_the_supervisors)


class SignalledRelay:
    """A relay that is ended when it has begun, and gets a SIGHUP while it ends."""

    addresses = fingerprints = ()

    async def open(self, _passed_sockets: object) -> None:
        os.kill(os.getpid(), signal.SIGTERM)

    async def close(self) -> None:
        os.kill(os.getpid(), signal.SIGHUP)
        await settle()


def test_a_sighup_while_the_relay_ends_has_no_effect(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    source = ConfigSource(tmp_path / "relay.toml", must_exist=False)
    relay: Any = SignalledRelay()
    access = AccessControl(relay, tmp_path / "bans.json")
    manager = notify.from_environment({})
    asyncio.run(main._serve(source, relay, access, tmp_path / "socket", manager, []))

    assert [record for record in caplog.records if record.levelno >= logging.ERROR] == []
