"""Switches off what asyncssh logs: its messages also reach us as exceptions and callbacks."""

from __future__ import annotations

import logging
import warnings

import asyncssh
from cryptography.utils import CryptographyDeprecationWarning


def silence_asyncssh() -> None:
    """Set asyncssh's log level so that it logs nothing in the whole process.

    Python would print warnings about algorithms that a person has enabled for an old server.
    """
    asyncssh.set_log_level(logging.CRITICAL)
    warnings.filterwarnings("ignore", category=CryptographyDeprecationWarning)


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
