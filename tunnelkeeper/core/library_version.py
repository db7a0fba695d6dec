"""The oldest version of asyncssh that the program runs with, and the error for an older one.

It imports no library: the front ends catch the error without loading SSH.
"""

from __future__ import annotations

import re

from tunnelkeeper.core.text import printable

ASYNCSSH_NEEDED = "2.24.1"
"""asyncssh 2.24.0 does not limit the length of a packet: memory can be filled before a login."""

_REMEDY = f"install a newer one: pip install --upgrade 'asyncssh>={ASYNCSSH_NEEDED}'"


class LibraryVersionError(Exception):
    """Raised when a library is missing or too old. The text names the versions and the remedy."""


def check_asyncssh_version(found: str) -> None:
    """Check the version of asyncssh.

    Raises:
        LibraryVersionError: It is older than ASYNCSSH_NEEDED, or is not a version.
    """
    if _numbers(found) < _numbers(ASYNCSSH_NEEDED):
        raise LibraryVersionError(
            f"asyncssh {printable(found, 40)} is installed, and {ASYNCSSH_NEEDED} or newer is "
            f"needed; {_REMEDY}"
        )


def import_failure(reason: str) -> LibraryVersionError:
    """Return the error for an asyncssh that cannot be imported."""
    return LibraryVersionError(
        f"asyncssh cannot be imported ({printable(reason, 200)}), and {ASYNCSSH_NEEDED} or newer "
        f"is needed; {_REMEDY}"
    )


def _numbers(version: str) -> tuple[int, ...]:
    """Return the release of a version (PEP 440), without its suffix; empty if it has none."""
    release = re.match(r"\d+(\.\d+)*", version, re.ASCII)
    return tuple(int(part) for part in release[0].split(".")) if release else ()
