"""Switches asyncssh's logging off: its messages also reach us as exceptions and callbacks."""

from __future__ import annotations

import logging

import asyncssh


def silence_asyncssh() -> None:
    """Set asyncssh's log level so that it logs nothing in the whole process."""
    asyncssh.set_log_level(logging.CRITICAL)


class Silence:
    """A logger that drops everything, for connections and channels.

    asyncssh's own logger formats each line before the level is checked. This one has the methods
    that asyncssh 2.24.1 calls.
    """

    def get_child(self, *_args: object, **_kwargs: object) -> Silence:
        """Return the logger of a channel, which drops everything too."""
        return self

    def _ignore(self, *_args: object, **_kwargs: object) -> None:
        pass

    debug1 = debug2 = info = warning = error = log = packet = _ignore


SILENCE = Silence()
