"""The file in which bans survive a restart of the relay: JSON, readable by its user only.

`bans` decides; this module reads and writes. Both block, so an event loop calls them in a thread.
"""

from __future__ import annotations

import hashlib
import os
from typing import TYPE_CHECKING

import msgspec

from tunnelkeeper import paths
from tunnelkeeper.atomic_write import write_atomically
from tunnelkeeper.clock import iso
from tunnelkeeper.core.text import printable
from tunnelkeeper.net.error_text import os_error_text
from tunnelkeeper.net.regular_file import read_regular_file
from tunnelkeeper.relay.bans import MAX_BANS, Ban, ban_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

SIZE_LIMIT = 4 * 1024 * 1024
"""Maximum bytes of the file; MAX_BANS bans take less than half."""


class BanFileError(Exception):
    """Raised for a file that cannot be read, parsed or written.

    hint: what to do about it, or empty.
    """

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint


class _Entry(msgspec.Struct, frozen=True):
    target: str
    since: str
    until: str | None = None


class _Content(msgspec.Struct, frozen=True):
    """config: the relay.toml of the relay, for people."""

    config: str
    bans: list[_Entry]


def path_for(config: Path, env: paths.Environment) -> Path:
    """Return the file of the relay with a config file, whether it exists or not."""
    name = hashlib.sha256(os.fsencode(os.path.realpath(config))).hexdigest()[:12]
    return paths.relay_state_folder(env) / f"bans-{name}.json"


def load(path: Path) -> list[Ban]:
    """Return the bans of a file; none if it does not exist.

    A relay without its bans would let in what was kept out. So anything else raises BanFileError.
    """
    try:
        content = msgspec.json.decode(read_regular_file(path, SIZE_LIMIT), type=_Content)
        bans = [ban_of(entry.target, entry.since, entry.until) for entry in content.bans]
    except (FileNotFoundError, NotADirectoryError):
        return []
    except OSError as error:
        reason = os_error_text(error)
    except (ValueError, msgspec.DecodeError, RecursionError) as error:
        reason = printable(str(error))
    else:
        if len(bans) <= MAX_BANS:
            return bans
        reason = f"more than {MAX_BANS} bans"
    raise BanFileError(
        f"cannot read the bans in {printable(str(path), 4096)}: {reason}; "
        "repair the file, or remove it to start without bans"
    )


def save(path: Path, config: str, bans: Sequence[Ban]) -> None:
    """Replace the file; remove it if there are no bans. Its folder is created.

    Raises BanFileError; the old file is then unchanged.
    """
    content = _Content(printable(config, 4096), list(_entries(bans)))
    try:
        if not bans:
            path.unlink(missing_ok=True)
            return
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        write_atomically(path, msgspec.json.encode(content), _set_mode)
    except OSError as error:
        where = printable(str(path), 4096)
        raise BanFileError(f"cannot write {where}: {os_error_text(error)}") from error


def _entries(bans: Iterable[Ban]) -> Iterable[_Entry]:
    for ban in bans:
        yield _Entry(str(ban), iso(ban.since), None if ban.until is None else iso(ban.until))


def _set_mode(descriptor: int) -> None:
    os.fchmod(descriptor, 0o600)
