"""The global options of the command line, and what they lead to."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from tunnelkeeper import paths
from tunnelkeeper.control.client import Client

ANSWER_TIMEOUT = 10.0
"""Seconds for an answer that takes the supervisor no work."""

WORK_TIMEOUT = 60.0
"""Seconds for one that does: closing connections, asking ssh about every host."""


@dataclass(frozen=True, slots=True)
class Settings:
    """--config and --socket, as given."""

    config_option: str | None = None
    socket_option: str | None = None

    @property
    def config(self) -> Path:
        """The config file, absolute; it need not exist."""
        return Path.cwd() / paths.config_path(self.config_option, os.environ)

    @property
    def socket(self) -> Path:
        """The control socket, absolute; it need not exist."""
        return Path.cwd() / paths.socket_path(self.socket_option, os.environ)

    def client(self, timeout: float = ANSWER_TIMEOUT) -> Client:
        """A connection to the supervisor.

        Raises NoSupervisor, OSError.
        """
        return Client(self.socket, timeout)
