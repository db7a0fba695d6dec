"""What keeps asyncssh from logging: it repeats what reaches us as exceptions and callbacks."""

from __future__ import annotations

import logging

import asyncssh


def silence_asyncssh() -> None:
    """Keep asyncssh from logging, in the whole process."""
    asyncssh.set_log_level(logging.CRITICAL)


class Silence:
    """The logger of a connection and of its channels: asyncssh's own formats lines nobody reads.

    It has the methods that asyncssh's connections and channels call.
    """

    def get_child(self, *_args: object, **_kwargs: object) -> Silence:
        """One for a channel, which has as little to say."""
        return self

    def _ignore(self, *_args: object, **_kwargs: object) -> None:
        pass

    debug1 = debug2 = info = warning = error = log = packet = _ignore


SILENCE = Silence()
