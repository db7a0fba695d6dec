"""Settings of asyncssh that hold for the whole process."""

from __future__ import annotations

import logging

import asyncssh


def quieten() -> None:
    """Keep asyncssh from logging: it repeats what reaches us as exceptions.

    It formats its lines even when nobody reads them, so this saves time as well.
    """
    asyncssh.set_log_level(logging.CRITICAL)
